import itertools

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.losses import DISTS, LPIPS  # noqa: E402
from gluon_enhance.losses.imagenet import Window  # noqa: E402
from gluon_enhance.losses.pieces import cut, in_pieces  # noqa: E402

DISTANCES = {
    "alex": lambda: LPIPS("alex"),
    "vgg": lambda: LPIPS("vgg"),
    "squeeze": lambda: LPIPS("squeeze"),
    "dists": DISTS,
}


def layer(values, window):
    """Slide a window over values: the sums of what it sees, by one weight for each place."""
    count = window.size(len(values))
    padded = np.pad(values, (window.padding, window.padding + window.kernel + window.stride))
    weights = 1 + np.arange(window.kernel)
    starts = window.stride * np.arange(count)
    return np.array([padded[start : start + window.kernel] @ weights for start in starts]) % 1009


def layers(values, windows):
    for path in windows:
        yield list(itertools.accumulate(path, layer, initial=values))[-1]


@pytest.mark.parametrize("kind", DISTANCES)
@pytest.mark.parametrize("size", [500, 513, 527, 528, 700])
def test_pieces_together_hold_each_value_of_each_layer_once(kind, size, rng):
    windows = DISTANCES[kind]().windows
    values = rng.integers(1, 1000, size)
    pieces = cut(windows, size, 256)
    assert len(pieces) > 1 and max(piece.inner.stop - piece.inner.start for piece in pieces) == 256
    found = [[] for _ in windows]
    for piece in pieces:
        for index, maps in enumerate(layers(values[piece.inner], windows)):
            found[index].append(maps[piece.spans[index]])
    for parts, expected in zip(found, layers(values, windows)):
        assert np.array_equal(np.concatenate(parts), expected)


@pytest.mark.parametrize("kind", DISTANCES)
def test_images_as_large_as_a_piece_are_one(kind):
    ((rows, columns),) = in_pieces(DISTANCES[kind]().windows, (256, 64), 256)
    assert (rows.inner, columns.inner) == (slice(0, 256), slice(0, 64))


@pytest.mark.parametrize("kind, least", [("alex", 31), ("vgg", 16), ("squeeze", 17), ("dists", 1)])
def test_the_smallest_image_leaves_one_value_of_the_last_layer(kind, least):
    windows = DISTANCES[kind]().windows
    list(in_pieces(windows, (least, least), 256))
    if least > 1:
        with pytest.raises(ValueError, match=f"{least - 1}x99 .* takes {least}x{least} or more"):
            list(in_pieces(windows, (least - 1, 99), 256))


def test_pieces_that_would_not_get_on_are_refused():
    with pytest.raises(ValueError, match="side is 200; give more than what the net sees"):
        cut(LPIPS("vgg").windows, 400, 200)


def test_a_windows_size_is_rounded_as_asked():
    assert [Window(3, 2).size(n) for n in (2, 3, 4, 5)] == [0, 1, 1, 2]
    assert [Window(3, 2, ceil=True).size(n) for n in (2, 3, 4, 5)] == [1, 1, 2, 2]
