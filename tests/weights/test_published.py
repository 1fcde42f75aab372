import numpy as np
import pytest
from torch_files import write_zip

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance import get_model  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.weights.load import load_state  # noqa: E402
from gluon_enhance.weights.names.official import published_layouts  # noqa: E402
from gluon_enhance.weights.names.published import BUILDERS, published_class, published_state  # noqa: E402
from gluon_enhance.weights.readers.torch import read_torch  # noqa: E402
from gluon_enhance.zoo import MODELS  # noqa: E402

TAIL = ["conv_hr", "conv_last"]
#: Model and size -> its convolutions as BasicSR's classes name them.
BASICSR = {
    ("esrgan_x4", "num_blocks", 2): [
        "conv_first",
        *(f"body.{b}.rdb{r}.conv{c}" for b in range(2) for r in (1, 2, 3) for c in range(1, 6)),
        *("conv_body", "conv_up1", "conv_up2", *TAIL),
    ],
    ("edsr_baseline_x4", "num_blocks", 3): [
        *("conv_first", *(f"body.{b}.conv{c}" for b in range(3) for c in (1, 2))),
        *("conv_after_body", "upsample.0", "upsample.2", "conv_last"),
    ],
    ("edsr_baseline_x3", "num_blocks", 1): [
        *("conv_first", "body.0.conv1", "body.0.conv2"),
        *("conv_after_body", "upsample.0", "conv_last"),
    ],
    ("msrresnet_x4", "num_blocks", 2): [
        *("conv_first", *(f"body.{b}.conv{c}" for b in range(2) for c in (1, 2))),
        *("upconv1", "upconv2", *TAIL),
    ],
}


@pytest.mark.parametrize("model", BASICSR, ids=lambda model: model[0])
def test_names_are_those_of_basicsr(model):
    name, size, number = model
    net = get_model(name, channels=4, **{size: number})
    net.initialize()
    expected = {f"{layer}.{kind}" for layer in BASICSR[model] for kind in ("weight", "bias")}
    assert set(published_state(net)) == expected


@pytest.mark.parametrize("name", ["realesrgan_x2", "edsr_x3", "msrresnet_x4", "srgan_voc_x8"])
def test_a_published_state_loads_into_an_equal_net(name, tmp_path, rng):
    options = {"growth_channels": 4} if name == "realesrgan_x2" else {}
    net, other = (get_model(name, channels=4, **options) for _ in range(2))
    net.initialize(mx.init.Xavier())
    write_zip(tmp_path / "net.pth", published_state(net))
    load_state(other, read_torch(tmp_path / "net.pth"))
    x = mx.nd.array(rng.random((1, 3, 6, 8)))
    assert np.array_equal(other(x).asnumpy(), net(x).asnumpy())


def test_own_names_that_end_as_pytorchs_have_channels_in_its_order(rng):
    options = {"num_convs": 1, "channels": 4, "scale": 2}
    net, other = (get_model("realesr_video_x4", **options) for _ in range(2))
    net.initialize(mx.init.Xavier())
    state = {k: p.data().asnumpy() for k, p in net._collect_params_with_prefix().items()}
    for name in ("tail.weight", "tail.bias"):  # pixels first, then colors
        pixels_first = state[name].reshape(4, 3, *state[name].shape[1:])
        state[name] = pixels_first.swapaxes(0, 1).reshape(state[name].shape)
    load_state(other, {name.replace("alpha", "weight"): array for name, array in state.items()})
    x = mx.nd.array(rng.random((1, 3, 6, 8)))
    assert np.array_equal(other(x).asnumpy(), net(x).asnumpy())


@pytest.mark.reference
@pytest.mark.parametrize(
    "name, file",
    [
        ("srgan_voc_x4", "srgan/netG_epoch_4_100.pth"),
        ("realesr_video_x4", "realesr-animevideov3.rezipped.pth"),
    ],
)
def test_official_weights_come_back_name_by_name_and_bit_by_bit(reference_data, name, file):
    path = reference_data / "weights" / file
    official = read_torch(path)
    official = official.get("params", official)
    state = published_state(load_state(get_model(name), official))
    assert set(state) == {key for key in official if not key.endswith("num_batches_tracked")}
    assert all(np.array_equal(state[key], official[key]) for key in state)


@pytest.mark.parametrize("name", ["srcnn_x4", "srresnet_x4", "dped_resnet", "plsr_x4"])
def test_nets_of_no_pytorch_program_have_no_published_names(name):
    net = get_model(name)
    net.initialize()
    assert published_state(net) is None


@pytest.mark.parametrize(
    "name, options, expected",
    [
        (
            "edsr_x3",
            {"num_blocks": 2, "channels": 4},
            {
                "num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_block": 2, "upscale": 3,
                "res_scale": 0.1, "img_range": 255.0, "rgb_mean": [0.4488, 0.4371, 0.4040],
            },
        ),
        (
            "realesrgan_x2",
            {"num_blocks": 1},
            {
                "num_in_ch": 3, "num_out_ch": 3, "scale": 2, "num_feat": 64, "num_block": 1,
                "num_grow_ch": 32,
            },
        ),
        (
            "realesr_video_x4",
            {},
            {
                "num_in_ch": 3, "num_out_ch": 3, "num_feat": 64, "num_conv": 16, "upscale": 4,
                "act_type": "prelu",
            },
        ),
        (
            "msrresnet_x4",
            {},
            {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 64, "num_block": 16, "upscale": 4},
        ),
        ("srgan_voc_x8", {}, {"scale_factor": 8}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_arguments_are_those_of_the_pytorch_class_for_the_same_net(name, options, expected):
    assert published_class(get_model(name, **options))["arguments"] == expected


def test_every_net_with_published_names_has_a_pytorch_class():
    classes = {spec.net.partition(".")[2] for spec in MODELS.values()}
    assert {name for name in classes if published_layouts(name, ())} == set(BUILDERS)
