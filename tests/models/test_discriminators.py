import numpy as np
import pytest
from random_nets import randomize, trained_numbers

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.discriminators import (  # noqa: E402
    VGG128,
    PatchDiscriminator,
    PooledDiscriminator,
    SRGANDiscriminator,
    TensorLayerDiscriminator,
)
from gluon_enhance.models.dped import DPEDDiscriminator  # noqa: E402
from gluon_enhance.models.wespe import ColorDiscriminator, TextureDiscriminator  # noqa: E402

PATCH = 64
#: Discriminator -> channels of its patches, shape of the logits, and what makes a small one.
NETS = {
    "dped": (1, (2,), lambda: DPEDDiscriminator(patch_size=PATCH)),
    "wespe color": (3, (1,), lambda: ColorDiscriminator(patch_size=PATCH)),
    "wespe texture": (1, (1,), lambda: TextureDiscriminator(patch_size=PATCH)),
    "esrgan": (3, (1,), lambda: VGG128(patch_size=PATCH, channels=4)),
    "srgan": (3, (1,), lambda: SRGANDiscriminator(patch_size=PATCH, channels=4)),
    "pooled": (3, (1,), lambda: PooledDiscriminator(channels=4)),
    "tensorlayer": (3, (1,), lambda: TensorLayerDiscriminator(patch_size=PATCH, channels=4)),
    "patch": (3, (1, 6, 6), lambda: PatchDiscriminator(channels=4)),
}


@pytest.fixture(params=NETS)
def net_and_patches(request, rng):
    """A discriminator whose norms do something, with patches of it."""
    channels, shape, make = NETS[request.param]
    net = make()
    randomize(net, rng)
    patches = mx.nd.array(rng.random((3, channels, PATCH, PATCH)))
    assert net(patches).shape == (3, *shape)
    return net, patches


def test_hybrid_equals_imperative(net_and_patches):
    net, patches = net_and_patches
    imperative = net(patches).asnumpy()
    net.hybridize(static_alloc=True, static_shape=True)
    assert np.abs(net(patches).asnumpy() - imperative).max() < 1e-5 * np.abs(imperative).max()


def test_saved_parameters_come_back(net_and_patches, tmp_path, rng):
    net, patches = net_and_patches
    expected = net(patches).asnumpy()
    net.save_parameters(str(tmp_path / "net.params"))
    randomize(net, rng)
    assert np.abs(net(patches).asnumpy() - expected).max() > 1e-3
    net.load_parameters(str(tmp_path / "net.params"))
    assert np.array_equal(net(patches).asnumpy(), expected)


@pytest.mark.filterwarnings("ignore:Cannot decide type")
def test_exported_symbol_gives_the_same_logits(net_and_patches, tmp_path):
    net, patches = net_and_patches
    net.hybridize()
    expected = net(patches).asnumpy()
    base = str(tmp_path / "net")
    net.export(base)
    pair = mx.gluon.SymbolBlock.imports(f"{base}-symbol.json", ["data"], f"{base}-0000.params")
    for count in (3, 1):
        result = pair(patches[:count]).asnumpy()
        assert np.abs(result - expected[:count]).max() < 1e-5 * np.abs(expected).max()


def test_vgg128_has_the_published_number_of_parameters():
    assert trained_numbers(VGG128()) == 14_499_401


def test_srgans_discriminator_has_the_papers_layers():
    widths = [3, 64, 64, 128, 128, 256, 256, 512, 512]
    kernels = sum(9 * a * b for a, b in zip(widths, widths[1:]))
    norms = 2 * sum(widths[2:])
    dense = 512 * 6 * 6 * 1024 + 1024 + 1024 + 1
    assert trained_numbers(SRGANDiscriminator()) == kernels + 64 + norms + dense


def test_leftthomass_discriminator_has_its_layers():
    widths = [3, 64, 64, 128, 128, 256, 256, 512, 512]
    kernels = sum(9 * a * b for a, b in zip(widths, widths[1:]))
    tail = 512 * 1024 + 1024 + 1024 + 1
    assert trained_numbers(PooledDiscriminator()) == kernels + 64 + 2 * sum(widths[2:]) + tail


def test_tensorlayers_discriminator_has_its_layers():
    widths = [3, 64, 128, 256, 512, 1024, 2048]
    kernels = sum(16 * a * b for a, b in zip(widths, widths[1:]))
    ones = 2048 * 1024 + 1024 * 512 + 512 * 128
    last = 9 * 128 * 128 + 9 * 128 * 512
    norms = 2 * (sum(widths[2:]) + 1024 + 512 + 128 + 128 + 512)
    dense = 512 * 6 * 6 + 1  # of patches of 384 pixels
    expected = kernels + 64 + ones + last + norms + dense
    assert trained_numbers(TensorLayerDiscriminator()) == expected
    with pytest.raises(ValueError, match="patch_size is 60; six halvings need 64 pixels at least"):
        TensorLayerDiscriminator(patch_size=60)


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


def test_pix2pixs_discriminator_has_its_layers_without_norms():
    widths = [3, 64, 128, 256, 512, 1]
    kernels = sum(16 * a * b for a, b in zip(widths, widths[1:]))
    net = PatchDiscriminator()
    assert trained_numbers(net) == kernels + sum(widths[1:])
    net.initialize()
    assert net(mx.nd.zeros((1, 3, 256, 256))).shape == (1, 1, 30, 30)


def test_each_logit_of_pix2pixs_discriminator_judges_70_by_70_pixels(rng):
    net, data = PatchDiscriminator(channels=4), mx.nd.array(rng.random((1, 3, 128, 128)))
    randomize(net, rng)
    data.attach_grad()
    with mx.autograd.record():
        logit = net(data)[0, 0, 7, 7]
    logit.backward()
    rows, columns = np.nonzero(data.grad.asnumpy()[0].any(axis=0))
    assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == 70
