"""Blocks of an image whose means are given."""

import numpy as np
import pytest

from gluon_enhance.imaging.block_means import (
    MARGIN,
    block_means,
    clip_keeping_means,
    constrain,
    enlarge_means,
    round_keeping_means,
)

SCALES = pytest.mark.parametrize("scale", [2, 3, 4, 8])


def reduced(image, scale):
    """Means of blocks, one by one."""
    rows, columns = (range(0, side, scale) for side in image.shape[:2])
    return np.array(
        [[image[r : r + scale, c : c + scale].mean(axis=(0, 1)) for c in columns] for r in rows]
    )


def polynomial_means(height, width):
    """Means over unit squares of y^2 x^2 - 3 y x + 5, in closed form."""

    def mean(power, count):
        edges = np.linspace(0, 6, count + 1)
        integral = edges ** (power + 1) / (power + 1)
        return np.diff(integral) / np.diff(edges)

    product = np.multiply.outer
    y, x = (lambda p: mean(p, height)), (lambda p: mean(p, width))
    return (product(y(2), x(2)) - 3 * product(y(1), x(1)) + 5)[..., None]


def test_means_are_those_of_each_block(rng):
    image = rng.random((12, 8, 3), np.float32)
    assert np.allclose(block_means(image, 4), reduced(image.astype(np.float64), 4), atol=1e-15)


@SCALES
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 3)])
def test_pixels_are_the_means_of_what_they_become(rng, scale, size):
    means = rng.random((*size, 2))
    result = enlarge_means(means, scale)
    assert result.shape == (size[0] * scale, size[1] * scale, 2)
    assert np.abs(reduced(result, scale) - means).max() < 1e-14


@SCALES
def test_parabolas_become_what_they_are(scale):
    inner = np.s_[MARGIN * scale : -MARGIN * scale, MARGIN * scale : -MARGIN * scale]
    result = enlarge_means(polynomial_means(9, 12), scale)
    expected = polynomial_means(9 * scale, 12 * scale)
    assert np.allclose(result[inner], expected[inner], rtol=1e-12)


def test_an_enlarged_wave_has_no_steps_between_blocks():
    def wave(count):  # the means of a sine of 4 periods over 32 pixels, in closed form
        cosine = np.cos(np.linspace(0, 8 * np.pi, count + 1))
        return -np.diff(cosine)[None, :, None] * count / (8 * np.pi)

    result, expected = (
        np.abs(np.diff(row[0, 8:-8, 0])) for row in (enlarge_means(wave(32), 4), wave(128))
    )
    between = np.arange(len(result)) % 4 == 3
    assert result[between].mean() == pytest.approx(expected[between].mean(), rel=0.06)
    assert result[~between].mean() == pytest.approx(expected[~between].mean(), rel=0.06)


def test_a_mean_has_influence_on_its_neighbors_within_the_margin_only(rng):
    means = rng.random((11, 11, 1))
    other = means.copy()
    other[5, 5] += 1
    moved = np.abs(enlarge_means(other, 3) - enlarge_means(means, 3)).max(axis=2) > 0
    rows, columns = (np.flatnonzero(moved.any(axis=axis)) // 3 for axis in (1, 0))
    assert {*rows} == {*columns} == {*range(5 - MARGIN, 5 + MARGIN + 1)}


def test_an_image_with_the_means_already_is_left_alone(rng):
    image = rng.random((12, 12, 3))
    assert np.allclose(constrain(image, reduced(image, 4)), image, atol=1e-15)


def test_detail_within_blocks_outlasts_the_constraint(rng):
    image, means = rng.random((16, 16, 1)), rng.random((4, 4, 1))
    result = constrain(image, means)
    assert np.abs(reduced(result, 4) - means).max() < 1e-14
    smooth = result - image  # parabolas have no third difference within a block
    assert np.abs(np.diff(smooth.reshape(4, 4, 16), n=3, axis=1)).max() < 1e-13


@SCALES
def test_clipping_keeps_the_means_and_leaves_other_blocks_alone(rng, scale):
    means = rng.uniform(60, 195, (6, 6, 3))
    means[0, 0], means[0, 1] = 0, 255
    image = constrain(rng.normal(128, 25, (6 * scale, 6 * scale, 3)), means)
    result = clip_keeping_means(image, means, 0, 255)
    assert result.min() >= -1e-12 and result.max() <= 255 + 1e-12
    assert np.abs(reduced(result, scale) - means).max() < 1e-10
    inside = (image >= 0) & (image <= 255)
    untouched = reduced(inside, scale) == 1
    assert untouched.any() and not untouched.all()
    untouched = untouched.repeat(scale, axis=0).repeat(scale, axis=1)
    assert np.allclose(result[untouched], image[untouched], atol=1e-10)


@SCALES
def test_rounding_keeps_whole_means_exactly(rng, scale):
    means = rng.integers(0, 256, (20, 20, 3))
    image = rng.normal(128, 3, (20 * scale, 20 * scale, 3))
    image = clip_keeping_means(constrain(image, means), means, 0, 255)
    result = round_keeping_means(image, scale)
    assert np.array_equal(result, np.rint(result))
    assert result.min() >= 0 and result.max() <= 255
    assert np.abs(result - image).max() < 1
    sums = result.reshape(20, scale, 20, scale, 3).sum(axis=(1, 3))
    assert np.array_equal(sums, means * scale**2)


def test_rounding_moves_as_few_pixels_as_it_can_and_those_between_two_numbers():
    image = np.array([[0.4, 0.3], [0.2, 0.1]])[..., None]
    assert np.array_equal(round_keeping_means(image, 2)[..., 0], [[1, 0], [0, 0]])
    image = np.array([[7.6, 8.0], [7.7, 8.7]])[..., None]
    assert np.array_equal(round_keeping_means(image, 2)[..., 0], [[7, 8], [8, 9]])
