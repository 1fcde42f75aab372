import math

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.discriminators import VGG128, SRGANDiscriminator  # noqa: E402


def trained_numbers(net):
    parameters = net.collect_params().values()
    return sum(math.prod(p.shape) for p in parameters if p.grad_req != "null")


def test_vgg128_has_the_published_number_of_parameters():
    assert trained_numbers(VGG128()) == 14_499_401


def test_srgans_discriminator_has_the_papers_layers():
    widths = [3, 64, 64, 128, 128, 256, 256, 512, 512]
    kernels = sum(9 * a * b for a, b in zip(widths, widths[1:]))
    norms = 2 * sum(widths[2:])
    dense = 512 * 6 * 6 * 1024 + 1024 + 1024 + 1
    assert trained_numbers(SRGANDiscriminator()) == kernels + 64 + norms + dense


@pytest.mark.parametrize("net_class", [VGG128, SRGANDiscriminator])
def test_hybrid_equals_imperative_and_gives_a_logit_a_patch(rng, net_class):
    net = net_class(patch_size=32, channels=4)
    net.initialize(mx.init.Xavier())
    patches = mx.nd.array(rng.random((3, 3, 32, 32)))
    imperative = net(patches).asnumpy()
    assert imperative.shape == (3, 1)
    net.hybridize()
    assert np.abs(net(patches).asnumpy() - imperative).max() < 1e-5


@pytest.mark.parametrize(
    "net_class, kernels",
    [(VGG128, [3, 4] * 5), (SRGANDiscriminator, [3, 3] * 4)],
)
def test_parameter_names_are_the_file_format(net_class, kernels):
    """A name that changes here breaks every checkpoint: change it knowingly."""
    parameters = net_class(patch_size=32, channels=4)._collect_params_with_prefix()
    names = {"body.0.weight", "body.0.bias"}
    kinds = ("gamma", "beta", "running_mean", "running_var")
    for k in range(1, len(kernels)):
        place = 3 * k - 1  # convolution, norm, activation; the first has no norm
        names |= {f"body.{place}.weight", *(f"body.{place + 1}.{kind}" for kind in kinds)}
        assert parameters[f"body.{place}.weight"].shape[2] == kernels[k]
    names |= {f"tail.{k}.{kind}" for k in (0, 2) for kind in ("weight", "bias")}
    assert set(parameters) == names
