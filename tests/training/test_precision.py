"""Training in bfloat16 against float32; oneDNN emulates it where the processor has AVX-512 only."""

from pathlib import Path

import numpy as np
import pytest

from gluon_enhance.framework import mx
from gluon_enhance.losses import VGGFeatures
from gluon_enhance.models.discriminators import VGG128, PatchDiscriminator, SRGANDiscriminator
from gluon_enhance.models.dped import DPEDDiscriminator
from gluon_enhance.models.unet_discriminator import UNetDiscriminator
from gluon_enhance.models.wespe import ColorDiscriminator
from gluon_enhance.training import precision
from gluon_enhance.training.precision import choose_precision, compute_in_bf16
from gluon_enhance.zoo import get_model

CPU = Path("/proc/cpuinfo")
needs_avx512 = pytest.mark.skipif(
    not CPU.is_file() or "avx512bw" not in CPU.read_text(),
    reason="MXNet's bfloat16 needs a processor with AVX-512",
)
SMALL = {"num_blocks": 1, "channels": 16, "growth_channels": 16}
NETS = {
    "rrdb": lambda: get_model("rrdb_lite_x4", **SMALL),
    "edsr": lambda: get_model("edsr_lite_x2", num_blocks=2, channels=16),
    "srcnn": lambda: get_model("srcnn_x4"),
    "srresnet": lambda: get_model("srresnet_x4", num_blocks=1),
    "dped": lambda: get_model("dped_resnet", num_blocks=1),
    "batch norm": lambda: get_model("dped_resnet_bn", num_blocks=1),
    "densenet": lambda: get_model("dped_densenet"),
    "style": lambda: get_model("style_wave", num_blocks=1),
    "plsr": lambda: get_model("plsr_x4", num_blocks=1),
    "srvgg": lambda: get_model("realesr_video_x4", num_convs=2),
    "vgg": lambda: VGGFeatures(19, ("conv1_2", "conv2_1")),
}


CRITICS = {
    "vgg": lambda: VGG128(32, channels=16),
    "srgan": lambda: SRGANDiscriminator(32, channels=16),
    "dped": lambda: DPEDDiscriminator(3, 2, patch_size=32),
    "wespe": lambda: ColorDiscriminator(patch_size=32),
    "unet": lambda: UNetDiscriminator(16),
    "patch": lambda: PatchDiscriminator(16),
}


def output_and_gradient(net, image):
    """Return all outputs, and the gradient of all that learns and of the input, flattened."""
    image = mx.nd.array(image)
    image.attach_grad()
    with mx.autograd.record():
        out = net(image)
        maps = out if isinstance(out, list) else [out]
        loss = sum((one**2).mean() + one.mean() for one in maps)
    loss.backward()
    learned = [p for p in net.collect_params().values() if p.grad_req != "null"]
    gradients = [image.grad, *(p.grad() for p in learned)]
    assert all(one.dtype == np.float32 for one in (*maps, *gradients))
    return [np.concatenate([a.asnumpy().ravel() for a in group]) for group in (maps, gradients)]


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@needs_avx512
@pytest.mark.parametrize("hybrid", [True, False])
@pytest.mark.parametrize("name", NETS)
def test_outputs_and_gradients_are_float32s_to_eight_bits(name, hybrid, rng):
    mx.random.seed(0)
    net = NETS[name]()
    net.initialize(mx.init.Xavier())
    if hybrid:
        net.hybridize(static_alloc=True)
    image = rng.random((2, 3, 16, 12), np.float32)
    agreements, differs = agreements_in_bf16(net, image)
    assert min(agreements) > 0.998
    assert differs


@needs_avx512
@pytest.mark.parametrize("name", CRITICS)
def test_critics_judge_and_learn_as_in_float32(name, rng):
    mx.random.seed(0)
    net = CRITICS[name]()
    net.initialize(mx.init.Xavier())
    net.hybridize(static_alloc=True)
    image = rng.random((16, 3, 32, 32), np.float32)
    for _ in range(20):  # each call improves estimates of spectral norms
        with mx.autograd.record():
            net(mx.nd.array(image))
    output, gradient = agreements_in_bf16(net, image)[0]
    # Norms of a batch make gradients depend much on little: a noise of 1e-3 in the image turns
    # them as far.
    assert output > 0.998 and gradient > 0.97


def agreements_in_bf16(net, image):
    expected = output_and_gradient(net, image)
    compute_in_bf16(net)
    result = output_and_gradient(net, image)
    return list(map(cosine, result, expected)), not np.array_equal(result[0], expected[0])


@needs_avx512
@pytest.mark.parametrize("options", [("edsr", "--model", "edsr_lite_x2"), ("srcnn",)])
def test_scripts_train_in_bf16_as_in_fp32(train, tmp_path, options):
    name, *options = options
    steps = ("--iterations", 2, "--reductions", "1.0", *options)
    for kind in ("fp32", "bf16"):
        train(name, tmp_path / kind, *steps, "--precision", kind)
    rows = [(tmp_path / kind / "metrics.csv").read_text().splitlines() for kind in ("fp32", "bf16")]
    values = [dict(zip(lines[0].split(","), lines[-1].split(","))) for lines in rows]
    exact, rounded = (float(row["pixel"]) for row in values)
    assert rounded != exact and rounded == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx512bw avx512_bf16", "bf16"), ("fpu amx_bf16", "bf16"), ("fpu avx512bw", "fp32")],
)
def test_auto_goes_by_the_processors_flags(monkeypatch, tmp_path, flags, expected):
    (tmp_path / "cpuinfo").write_text(f"processor: 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "cpuinfo")
    assert choose_precision("auto") == expected
    assert choose_precision("fp32") == "fp32" and choose_precision("bf16") == "bf16"


def test_auto_is_fp32_on_gpus_whatever_the_processor_has(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu avx512_bf16\n")
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "cpuinfo")
    assert choose_precision("auto", [mx.gpu(0), mx.gpu(1)]) == "fp32"
    assert choose_precision("auto", [mx.cpu()]) == "bf16"
    lowered = []
    monkeypatch.setattr(precision, "compute_in_bf16", lowered.append)
    net = mx.gluon.nn.Dense(2, in_units=2)
    net.initialize()
    precision.set_precision("auto", net)
    monkeypatch.setattr(mx.gluon.Parameter, "list_ctx", lambda self: [mx.gpu(0)])
    precision.set_precision("auto", net)
    assert lowered == [net]


def test_a_machine_that_does_not_tell_its_flags_trains_in_fp32(monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "missing")
    assert choose_precision("auto") == "fp32"
