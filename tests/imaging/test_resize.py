import numpy as np
import pytest

from gluon_enhance.imaging.resize import resize


@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 1 / 4, 2, 3, 4, 1.37, 0.61])
@pytest.mark.parametrize("kernel", ["bicubic", "bilinear", "nearest"])
def test_constant_image_stays_constant(scale, kernel):
    image = np.full((24, 36), 77, np.uint8)
    assert (resize(image, scale, kernel) == 77).all()


@pytest.mark.parametrize("scale", [0.25, 0.5, 2.0, 3.0])
def test_linear_ramp_stays_linear_away_from_the_edges(scale):
    ramp = np.arange(64, dtype=np.float64)[None].repeat(8, 0)
    resized = resize(ramp, (8, round(64 * scale)))
    expected = (np.arange(resized.shape[1]) + 0.5) / scale - 0.5
    margin = max(3, int(3 * scale))
    assert np.allclose(resized[0, margin:-margin], expected[margin:-margin], atol=1e-9)


def test_bicubic_weights_are_the_published_ones():
    """The response to an impulse is the kernel: -0.5 cubic, stretched by 4 and normalized."""
    impulse = np.zeros((1, 64))
    impulse[0, 32] = 1
    response = resize(impulse, (1, 16))[0]
    quarter = [-0.001709, -0.010986, -0.018311, -0.011963, 0.022705, 0.097412, 0.181885, 0.240967]
    # Source pixel 32 lies 1.5, 2.5 and so on source pixels from the centers around it.
    assert response[8] == pytest.approx(quarter[6], abs=1e-6)
    assert response[7] == pytest.approx(quarter[5], abs=1e-6)
    assert response[9] == pytest.approx(quarter[2], abs=1e-6)


def test_interior_values_equal_the_golden_signal():
    signal = (np.arange(16) ** 2 / 225)[None]
    half = resize(signal, (1, 8))[0]
    assert half[1:7] == pytest.approx([0.02783, 0.09, 0.187778, 0.321111, 0.49, 0.696059], abs=1e-6)
    double = resize(signal, (1, 32))[0]
    assert double[1:6] == pytest.approx([0.00059, 0.002604, 0.006944, 0.013611, 0.0225], abs=1e-6)


def test_brute_force_definition_in_one_dimension(rng):
    signal = rng.random(17)
    scale, length = 7 / 17, 7

    def cubic(x):
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0

    expected = []
    for i in range(length):
        center = (i + 0.5) / scale - 0.5
        places = range(int(center) - 12, int(center) + 14)
        weights = np.array([cubic((center - k) * scale) for k in places])
        values = np.array([signal[min(max(k, 0), 16)] for k in places])
        expected.append((weights * values).sum() / weights.sum())
    assert resize(signal[:, None], (length, 1))[:, 0] == pytest.approx(expected, abs=1e-12)


def test_nearest_repeats_pixels():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert (resize(image, 3, "nearest") == image.repeat(3, 0).repeat(3, 1)).all()


def test_integers_are_rounded_and_clipped_not_wrapped():
    step = np.zeros((1, 16), np.uint8)
    step[:, 8:] = 255
    resized = resize(step, (1, 64))
    assert resized.min() == 0 and resized.max() == 255
    assert (np.diff(resized[0, 28:36].astype(int)) >= 0).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_dtype_and_channels_are_kept(dtype):
    assert resize(np.zeros((5, 7, 4), dtype), 2).shape == (10, 14, 4)
    assert resize(np.zeros((5, 7), dtype), 2).dtype == dtype


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(scale_or_size=2, kernel="lanczos"), "'lanczos'.*nearest, bilinear, bicubic"),
        (dict(scale_or_size=0), "scale is 0"),
        (dict(scale_or_size=float("nan")), "scale is nan"),
        (dict(scale_or_size=(0, 4)), r"size is \(0, 4\)"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        resize(np.zeros((4, 4), np.uint8), **arguments)


def test_empty_image_is_refused():
    with pytest.raises(ValueError, match=r"\(0, 4\)"):
        resize(np.zeros((0, 4), np.uint8), 2)


@pytest.mark.reference
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_set5_reductions_are_reproduced_bit_for_bit(reference_data, scale):
    from PIL import Image

    for path in sorted((reference_data / f"sets/Set5/x{scale}/hr").iterdir()):
        hr = np.array(Image.open(path).convert("RGB"))
        lr = np.array(Image.open(path.parents[1] / "lr" / path.name).convert("RGB"))
        assert (resize(hr, 1 / scale) == lr).all(), path.name
