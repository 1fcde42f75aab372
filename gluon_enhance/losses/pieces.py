"""How an image is cut into pieces, each layer of which is that of the whole image in its middle."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gluon_enhance.losses.imagenet import Window

SIDE = 768
"""Of a piece; DISTS takes nearly two gigabytes for it, LPIPS on AlexNet a quarter of one."""


@dataclass(frozen=True)
class Piece:
    """A piece of an image along one axis.

    Attributes
    ----------
    inner : slice
        Of the image.
    spans : list of slice
        Of each layer of the piece, what no piece before it has.
    """

    inner: slice
    spans: list[slice]


def in_pieces(
    windows: Sequence[Sequence[Window]], shape: tuple[int, ...], side: int
) -> Iterator[tuple[Piece, Piece]]:
    """Cut an image into pieces of rows and columns.

    Parameters
    ----------
    windows : sequence of sequences of Window
        Of each layer those that lead to it.
    shape : tuple of two int
        Height and width of the image.
    side : int
        Of the largest piece.

    Yields
    ------
    rows, columns : Piece

    Raises
    ------
    ValueError
        If nothing would be left of a layer, or pieces are smaller than what their overlap needs.
    """
    height, width = shape
    for path in windows:
        if min(_sizes(path, size)[-1] for size in shape) < 1:
            least = next(n for n in itertools.count(1) if min(_sizes(path, n)) > 0)
            raise ValueError(
                f"images have {height}x{width} pixels inside the border; the net takes "
                f"{least}x{least} or more"
            )
    yield from itertools.product(*(cut(windows, size, side) for size in shape))


def cut(windows: Sequence[Sequence[Window]], size: int, side: int) -> list[Piece]:
    """Cut one axis, as `in_pieces` says.

    A piece begins where every layer begins a window, and ends `side` later or with the image. Each
    layer then gives all that does not see beyond the piece, but for what the piece before gave.
    """
    strides = [math.prod(window.stride for window in path) for path in windows]
    done, start, pieces = [0] * len(windows), 0, []
    while True:
        stop, spans = min(size, start + side), []
        for layer, path in enumerate(windows):
            end = max(done[layer], _seen(path, stop, size))
            offset = start // strides[layer]
            spans.append(slice(done[layer] - offset, end - offset))
            done[layer] = end
        pieces.append(Piece(slice(start, stop), spans))
        if stop == size:
            return pieces
        needed = min(_first(path, value) for path, value in zip(windows, done))
        former, start = start, needed // max(strides) * max(strides)
        if start <= former:
            raise ValueError(f"side is {side}; give more than what the net sees around a pixel")


def _sizes(path, size):
    """Return the lengths of the image and of the layers on it."""
    return list(itertools.accumulate(path, lambda n, window: window.size(n), initial=size))


def _seen(path, stop, size):
    """Count the values of a layer that see nothing of the image from `stop` on."""
    for window in path:
        at_end, size = stop == size, window.size(size)
        room = stop + window.padding - window.kernel
        stop = size if at_end else max(0, room // window.stride + 1)
    return stop


def _first(path, value):
    """Return the first pixel that a value of a layer, and those behind it, see."""
    for window in reversed(path):
        value = max(0, window.stride * value - window.padding)
    return value
