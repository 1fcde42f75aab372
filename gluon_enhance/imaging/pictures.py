"""Pictures side by side, under headings, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

HEADING_HEIGHT = 24
"""In pixels."""

CELL, PART, GAP = 384, 96, 8
"""Of a sheet, in pixels: the width of a column, the side of a part of a picture that is magnified
to that width, and the white between cells."""

FRAME = (255, 64, 64)
"""Color of what marks a part in the whole."""


def side_by_side(pictures: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Put pictures of one size side by side, each under its name.

    Parameters
    ----------
    pictures : mapping of str to ndarray of shape (H, W, 3), uint8

    Returns
    -------
    ndarray of shape (H + HEADING_HEIGHT, n * W, 3), uint8
    """
    return picture_table([pictures])


def picture_table(rows: Sequence[Mapping[str, NDArray[Any]]]) -> NDArray[Any]:
    """Put rows of pictures, all of one size, under one another; each column under its name.

    Parameters
    ----------
    rows : sequence of mapping of str to ndarray of shape (H, W, 3), uint8
        The names are those of the first.

    Returns
    -------
    ndarray of shape (m * H + HEADING_HEIGHT, n * W, 3), uint8
    """
    headings = [_heading(name, picture.shape[1]) for name, picture in rows[0].items()]
    return np.vstack([np.hstack(headings), *(np.hstack(list(row.values())) for row in rows)])


def comparison_sheet(pictures: Mapping[str, NDArray[Any]], count: int = 3) -> NDArray[Any]:
    """Put pictures of one size beside each other, and magnify the parts in which they differ most.

    Parameters
    ----------
    pictures : mapping of str to ndarray of shape (H, W, 3), uint8
        By what is written over them.
    count : int
        Parts at most.

    Returns
    -------
    ndarray of shape (h, w, 3), uint8
        A column for each picture: its name, the whole with the parts framed, and each part, whose
        pixels are squares.
    """
    images = list(pictures.values())
    side = min(PART, *images[0].shape[:2])
    places = most_different(images, side, count)
    columns = []
    for name, image in pictures.items():
        parts = [image[y : y + side, x : x + side] for y, x in places]
        cells = [_whole(image, places, side), *map(_magnified, parts)]
        heading = _heading(name, CELL, ImageFont.load_default(16))
        columns.append(np.vstack([heading, *map(_with_gap, cells)]))
    return np.hstack([np.pad(c, ((0, 0), (GAP, 0), (0, 0)), constant_values=255) for c in columns])


def most_different(images: Sequence[NDArray[Any]], side: int, count: int) -> list[tuple[int, int]]:
    """Find the squares in which images of one size differ most; they do not overlap.

    Parameters
    ----------
    images : sequence of ndarray of shape (H, W, 3)
    side : int
        Of the squares, in pixels; at most H and W.
    count : int
        Squares at most: fewer where there is no room, or no difference left.

    Returns
    -------
    list of (int, int)
        Top and left, the most different first.
    """
    spread = np.zeros(images[0].shape[:2], np.float32)
    for channel in range(3):
        planes = [image[..., channel].astype(np.float32) for image in images]
        spread += np.maximum.reduce(planes) - np.minimum.reduce(planes)
    # The mean over the square that begins at each pixel, where a whole one does.
    means = cv2.boxFilter(spread, -1, (side, side), anchor=(0, 0))
    means = means[: spread.shape[0] - side + 1, : spread.shape[1] - side + 1].copy()
    places: list[tuple[int, int]] = []
    while len(places) < count and means.max() > 0:
        top, left = divmod(int(means.argmax()), means.shape[1])
        places.append((top, left))
        means[max(0, top - side + 1) : top + side, max(0, left - side + 1) : left + side] = 0
    return places


def _whole(image: NDArray[Any], places: list[tuple[int, int]], side: int) -> NDArray[Any]:
    ratio = CELL / image.shape[1]
    size = CELL, max(1, round(image.shape[0] * ratio))
    way = cv2.INTER_AREA if ratio < 1 else cv2.INTER_NEAREST
    whole = cv2.resize(image, size, interpolation=way)
    for y, x in places:
        left, top, right, bottom = (round(n * ratio) for n in (x, y, x + side, y + side))
        cv2.rectangle(whole, (left, top), (right, bottom), FRAME, 2)
    return np.asarray(whole)


def _magnified(part: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(cv2.resize(part, (CELL, CELL), interpolation=cv2.INTER_NEAREST))


def _with_gap(cell: NDArray[Any]) -> NDArray[Any]:
    return np.pad(cell, ((0, GAP), (0, 0), (0, 0)), constant_values=255)


def _heading(text: str, width: int, font: Any = None) -> NDArray[Any]:
    label = Image.new("RGB", (width, HEADING_HEIGHT), "white")
    draw = ImageDraw.Draw(label)
    while draw.textlength(text, font) > width - 12 and len(text) > 2:
        text = f"…{text[2:]}"  # names of files differ at their ends
    draw.text((6, 3 if font else 6), text, fill="black", font=font)
    return np.asarray(label)
