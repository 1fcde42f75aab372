"""Kinds of pictures that show the faults of nets, and what every shipped model makes of them."""

import cv2
import numpy as np
from PIL import Image
from skimage import data

import gluon_enhance
from gluon_enhance.imaging.resize import resize, resize_rounding_once

SIDE = 160
GRAYS = (0, 32, 64, 96, 128, 160, 192, 224, 255)


def kinds():
    """Return pictures of SIDE pixels a side, by name."""
    cat, camera, rocket = data.chelsea(), data.camera(), data.rocket()
    return {
        "gray": np.full((SIDE, SIDE, 3), 128, np.uint8),
        "black": np.zeros((SIDE, SIDE, 3), np.uint8),
        "white": np.full((SIDE, SIDE, 3), 255, np.uint8),
        "grays": np.repeat(gray_card(), 3, axis=2),
        "text": text(),
        "lines": np.repeat(lines(), 3, axis=2),
        "portrait": fit(data.astronaut()[0:240, 100:340]),
        "animal": fit(cat[20:300, 90:370]),
        "buildings": fit(np.repeat(camera[90:260, 342:512, None], 3, axis=2)),
        "sky": fit(rocket[0:420, 0:420]),
    }


def fit(picture):
    return resize(picture, SIDE / picture.shape[0])[:SIDE, :SIDE]


def gray_card():
    fields = np.repeat(GRAYS, -(-SIDE // len(GRAYS)))[:SIDE].astype(np.uint8)
    ramp = np.linspace(0, 255, SIDE).astype(np.uint8)
    return np.where(np.arange(SIDE)[:, None] < SIDE // 2, fields, ramp)[..., None]


def text():
    page = np.full((SIDE, SIDE, 3), 244, np.uint8)
    words = "Set in small", "letters, black", "on paper: 0123", "fine print"
    ink = (24, 20, 20), 1, cv2.LINE_AA
    for row, (line, size) in enumerate(zip(words, (0.7, 0.6, 0.5, 0.4))):
        cv2.putText(page, line, (6, 30 + 36 * row), cv2.FONT_HERSHEY_SIMPLEX, size, *ink)
    return page


def lines():
    """Draw stripes at angles, and rings that become finer outwards."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    rings = np.cos((x**2 + y**2) * np.pi / (4 * SIDE))
    stripes = np.cos((x + 0.4 * y) * np.pi / 4)
    return np.uint8(127.5 + 110 * np.where(x < 0, stripes, rings))[..., None]


def write_rows(models, folder):
    """Write what models make of all kinds, and yield each row: a name and its pictures' names.

    Models that enlarge get the pictures reduced, and before them comes the bicubic enlargement;
    before others the pictures themselves.

    Parameters
    ----------
    models : dict of str to dict
        Cards by name, all of one scale.
    folder : pathlib.Path
    """
    (scale,) = {card["scale"] for card in models.values()}
    inputs = {name: resize(picture, 1 / scale) for name, picture in kinds().items()}
    if scale == 1:
        ways = {"original": np.asarray}
    else:
        ways = {"bicubic": lambda picture: resize_rounding_once(picture, scale)}
    ways.update((name, gluon_enhance.Enhancer(name, threads=1)) for name in models)
    for way, enhance in ways.items():
        names = {}
        for kind, picture in inputs.items():
            names[kind] = f"{way}_x{scale}_{kind}.webp"
            Image.fromarray(enhance(picture)).save(folder / names[kind], quality=90)
        yield way, names
