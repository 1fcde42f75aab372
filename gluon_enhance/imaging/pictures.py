"""Pictures side by side, under headings, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

HEADING_HEIGHT = 24
"""In pixels."""


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


def _heading(text: str, width: int) -> NDArray[Any]:
    label = Image.new("RGB", (width, HEADING_HEIGHT), "white")
    ImageDraw.Draw(label).text((6, 6), text, fill="black")
    return np.asarray(label)
