"""Epochs: orders of items, and data sets that follow them."""

import cv2
import numpy as np
import pytest

from gluon_enhance.data.epochs import Turn
from gluon_enhance.data.patches import PhotoPatches, SuperResolutionPatches, Unpaired


def items(count, numbers, seed=0, stream=0):
    return [Turn(seed, number, stream).of(count) for number in numbers]


def test_every_item_comes_once_in_an_epoch_and_orders_differ():
    first, second = items(50, range(50)), items(50, range(50, 100))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second and first != items(50, range(50), seed=1)
    assert first != items(50, range(50), stream=1) and first == items(50, range(50))


@pytest.fixture
def gray_photos(tmp_path):
    """Six photos, each of one gray: 10, 20 to 60."""
    paths = [tmp_path / f"{index}.png" for index in range(1, 7)]
    for index, path in enumerate(paths, 1):
        cv2.imwrite(str(path), np.full((40, 40, 3), 10 * index, np.uint8))
    return paths


def grays(draw, numbers):
    """The grays of the arrays of samples, one tuple for each sample."""
    samples = [draw(np.random.default_rng(n), Turn(3, n)) for n in numbers]
    return [tuple(round(float(array.mean() * 255)) for array in sample) for sample in samples]


@pytest.mark.parametrize("reductions", [(1.0,), (1.0, 0.5)])
def test_every_photo_is_drawn_once_in_an_epoch(gray_photos, reductions):
    every = [10, 20, 30, 40, 50, 60]
    for patches in (
        PhotoPatches(gray_photos, 8, reductions=reductions),
        SuperResolutionPatches(gray_photos, 2, 8, reductions),
    ):
        for epoch in (range(6), range(6, 12)):
            assert sorted(gray[0] for gray in grays(patches.draw, epoch)) == every


def test_the_two_sides_of_unpaired_samples_have_orders_of_their_own(gray_photos):
    patches = PhotoPatches(gray_photos, 8, degrade=lambda patch, rng: patch)
    drawn = grays(Unpaired(patches, patches).draw, range(6))
    first, second = zip(*drawn)
    assert sorted(first) == sorted(second) == [10, 20, 30, 40, 50, 60] and first != second


def test_a_damaged_photo_is_made_up_for_by_another(gray_photos, caplog):
    gray_photos[2].write_bytes(gray_photos[2].read_bytes()[:-20])
    drawn = grays(PhotoPatches(gray_photos, 8).draw, range(6))
    assert len(drawn) == 6 and {10, 20, 40, 50, 60} == {gray for (gray,) in drawn}
