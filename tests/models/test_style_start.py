"""The start of style nets: a photo goes through, though the net halves its size twice."""

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.style import CARRIED, StyleNet  # noqa: E402

# Norms shift the colors of each channel, and the tanh bends the extremes: what stays is likeness.
LIKENESS = 0.9


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("padding", ["reflect_start", "zero"])
def test_output_is_the_photo_in_every_pixel_but_for_contrast(norm, padding, rng):
    net = StyleNet(channels=16, norm=norm, padding=padding)
    net.initialize_as_identity(rng)
    image = rng.random((1, 3, 64, 72), np.float32)  # a pixel says nothing about the next one
    with mx.autograd.train_mode():  # batch norm has no averages yet
        output = net(mx.nd.array(image)).asnumpy()
    for channel, original in zip(output[0], image[0]):
        inside = slice(8, -8), slice(8, -8)
        assert np.corrcoef(channel[inside].ravel(), original[inside].ravel())[0, 1] > LIKENESS


def test_over_nearest_neighbors_the_photo_comes_out_blurred(rng):
    net = StyleNet(channels=16, norm="instance", padding="reflect", doublings="nearest")
    net.initialize_as_identity(rng)
    coarse = rng.random((1, 3, 4, 5), np.float32).repeat(16, axis=2).repeat(16, axis=3)
    output = net(mx.nd.array(coarse)).asnumpy()
    for channel, original in zip(output[0], coarse[0]):
        assert np.corrcoef(channel.ravel(), original.ravel())[0, 1] > LIKENESS


def test_what_the_blocks_learn_can_come_out(rng):
    net = StyleNet(channels=16, norm="instance")
    net.initialize_as_identity(rng)
    with mx.autograd.record():
        loss = net(mx.nd.array(rng.random((1, 3, 48, 48)))).square().mean()
    loss.backward()
    for name, parameter in net.collect_params().items():
        if name.endswith("weight"):
            assert np.abs(parameter.grad().asnumpy()).max() > 0, name


def test_nets_too_narrow_for_a_photo_say_how_wide_they_must_be(rng):
    with pytest.raises(ValueError, match=f"have 32 channels; a start as identity needs {CARRIED}"):
        StyleNet(channels=8).initialize_as_identity(rng)
