"""The start of Johnson's nets for super-resolution: an enlargement, in place and in its colors."""

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.plsr import JohnsonSR  # noqa: E402


@pytest.mark.parametrize("scale", [4, 8])
def test_output_is_the_input_enlarged_in_place(scale, rng):
    net = JohnsonSR(scale, num_blocks=2)
    net.initialize_as_interpolator(rng)
    rows, columns = np.mgrid[0:24, 0:20] / 24
    image = 0.45 + 0.2 * np.sin(6 * np.stack([rows + columns, rows - columns, rows * columns]))
    output = net(mx.nd.array(image[None]))[0].asnumpy()
    middle = output[:, 3 * scale : -3 * scale, 3 * scale : -3 * scale]
    assert middle.min() > 0.1 and middle.max() < 0.8  # no value is cut

    def likeness(shift):
        """Correlation with the image at the places of the output's pixels, moved by a shift."""
        # Pixel k of the output lies at (k + 0.5) / scale - 0.5 of the input.
        y, x = ((np.arange(n * scale) + 0.5 + shift) / scale - 0.5 for n in (24, 20))
        y, x = y[:, None] / 24, x[None] / 24
        expected = np.sin(6 * np.stack([y + x, y - x, y * x]))
        inside = (slice(None), *[slice(3 * scale, -3 * scale)] * 2)
        return np.corrcoef(output[inside].ravel(), expected[inside].ravel())[0, 1]

    assert likeness(0) > 0.97
    assert likeness(0) > max(likeness(-1), likeness(1))
