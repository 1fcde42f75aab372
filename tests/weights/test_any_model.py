"""Files of other programs' nets: what they are is read off them, and they compute what those do."""

import json
from dataclasses import asdict

import foreign_nets as foreign
import numpy as np
import pytest
from foreign_nets import edsr, middle_names, msrresnet, new_names, old_names, rrdb, srgan, srvgg
from torch_files import write_legacy, write_zip

pytest.importorskip("mxnet", reason="MXNet is not installed")
safetensors = pytest.importorskip("safetensors.numpy")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance.errors import WeightsError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.weights.readers.safetensors import read_safetensors  # noqa: E402

BASICSR = {"block": "body.{}.conv{}", "up": "upconv{}", "hr": "conv_hr"}
FIRST_BASICSR = {"block": "recon_trunk.{}.conv{}", "up": "upconv{}", "hr": "HRconv"}
MMAGIC = {"block": "trunk_net.{}.conv{}", "up": "upsample{}.upsample_conv", "hr": "conv_hr"}
THREE = (old_names, middle_names, new_names)

#: What a net is -> scale, multiple and how it is made.
LAYOUTS = {
    **{f"rrdb {names.__name__}": (4, 1, lambda n=names: rrdb(n)) for names in THREE},
    **{f"rrdb x2 {n.__name__}": (2, 2, lambda n=n: rrdb(n, fold=2)) for n in THREE},
    **{f"rrdb x1 {n.__name__}": (1, 4, lambda n=n: rrdb(n, fold=4)) for n in THREE},
    **{f"rrdb gray {n.__name__}": (4, 1, lambda n=n: rrdb(n, colors=1)) for n in THREE},
    **{f"rrdb rgba {n.__name__}": (4, 1, lambda n=n: rrdb(n, colors=4)) for n in THREE},
    **{
        f"rrdb of other sizes {n.__name__}": (
            (4, 1, lambda n=n: rrdb(n, blocks=3, channels=6, growth=5))
        )
        for n in THREE
    },
    **{
        f"rrdb, {k} doublings {n.__name__}": (2**k, 1, lambda n=n, k=k: rrdb(n, k))
        for n, k in (
            (old_names, 0),
            (old_names, 1),
            (old_names, 3),
            (middle_names, 1),
            (middle_names, 3),
            (new_names, 1),
            (new_names, 3),
        )
    },
    "rrdb gray x2": (2, 2, lambda: rrdb(new_names, fold=2, colors=1)),
    "rrdb rgba x2": (2, 2, lambda: rrdb(new_names, fold=2, colors=4)),
    "esrgan+": (4, 1, lambda: rrdb(old_names, plus=True)),
    "esrgan+ middle": (4, 1, lambda: rrdb(middle_names, plus=True)),
    **{f"srvgg x{s}": (s, 1, lambda s=s: srvgg(s)) for s in (1, 2, 3, 4, 8)},
    "srvgg of other sizes": (4, 1, lambda: srvgg(convs=5, channels=12)),
    "srvgg gray": (4, 1, lambda: srvgg(colors=1)),
    "srvgg rgba": (2, 1, lambda: srvgg(2, colors=4)),
    **{f"edsr-pytorch x{s}": (s, 1, lambda s=s: edsr("edsr-pytorch", s)) for s in (2, 3, 4)},
    **{f"edsr basicsr x{s}": (s, 1, lambda s=s: edsr("basicsr", s)) for s in (2, 4)},
    **{f"msrresnet x{s}": (s, 1, lambda s=s: msrresnet(BASICSR, s)) for s in (2, 3, 4)},
    "msrresnet gray": (4, 1, lambda: msrresnet(BASICSR, colors=1)),
    "msrresnet first basicsr": (4, 1, lambda: msrresnet(FIRST_BASICSR)),
    "msrresnet mmagic": (4, 1, lambda: msrresnet(MMAGIC)),
    "srgan x2": (2, 1, lambda: srgan(2)),
    "srgan of 7 blocks": (4, 1, lambda: srgan(4, blocks=7)),
}
WRAPPERS = (
    lambda state: state,
    lambda state: {f"module.{key}": array for key, array in state.items()},
    lambda state: {"params": state},
    lambda state: {"params": {k: np.asarray(v + 1) for k, v in state.items()}, "params_ema": state},
    lambda state: {"epoch": 3, "state_dict": {f"net_g.{k}": v for k, v in state.items()}},
    lambda state: {"model_state_dict": state, "optimizer_state_dict": {"step": 3}},
    lambda state: {"model": {f"module.{k}": v for k, v in state.items()}},
    lambda state: {"net_g": state},
    lambda state: {
        k: v.astype(np.float16) if v.dtype == np.float32 else v for k, v in state.items()
    },
)
WRITERS = (
    ("pth", write_zip),
    ("pt", write_legacy),
    ("ckpt", write_zip),
    ("safetensors", lambda path, state: safetensors.save_file(state, str(path))),
)


def write(folder, state, number):
    """Write a file of weights as the number has it, so that all ways occur."""
    suffix, writer = WRITERS[number % len(WRITERS)]
    way = WRAPPERS[number % len(WRAPPERS)](dict(state))
    if suffix == "safetensors":  # which is flat
        way = dict(state)
    writer(folder / f"net.{suffix}", way)
    return folder / f"net.{suffix}"


def test_there_are_forty_layouts():
    assert len(LAYOUTS) >= 40


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_file_of_another_program_computes_what_that_program_does(name, tmp_path, rng):
    scale, multiple, make = LAYOUTS[name]
    state, run, colors = make()
    net = ge.get_model(pretrained=write(tmp_path, state, list(LAYOUTS).index(name)))
    x = rng.random((2, 3, 8, 12))
    expected = foreign.run_on_rgb(run, colors, x)
    given = net(mx.nd.array(x)).asnumpy()
    assert given.shape == expected.shape == (2, 3, 8 * scale, 12 * scale)
    np.testing.assert_allclose(given, expected, atol=2e-5 * max(1, np.abs(expected).max()))
    assert (net.spec.scale, net.spec.multiple) == (scale, multiple)


def test_bfloat16_of_safetensors_becomes_single(tmp_path):
    exact = np.array([1.5, -0.25, 3.0], np.float32)  # bfloat16 holds these
    header = json.dumps({"a": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}).encode()
    data = (exact.view("<u4") >> 16).astype("<u2").tobytes()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
    assert np.array_equal(read_safetensors(tmp_path / "a.safetensors")["a"], exact)


def without(state, key):
    return {k: v for k, v in state.items() if k != key}


def relu_srvgg():
    return {k: v for k, v in srvgg()[0].items() if v.ndim == 4 or "bias" in k}


REFUSED = {
    "another activation": (relu_srvgg, "SRVGGNetCompact, but .* 0 PReLUs"),
    "an unknown width of EDSR": (lambda: edsr("basicsr", channels=8)[0], "edsr_baseline_x2=FILE"),
    "a strange layer": (
        lambda: {**rrdb(new_names)[0], "attention.weight": np.zeros(3, np.float32)},
        r"RRDB .* is the nearest and lacks attention\.weight",
    ),
    "a transformer": (
        lambda: {"layers.0.attn.qkv.weight": np.zeros((3, 3), np.float32)},
        "no net known here .*layers.0.attn.qkv.weight",
    ),
    "a missing layer": (lambda: without(rrdb(old_names)[0], "model.8.bias"), "missing tail.0.bias"),
    "two colors": (lambda: rrdb(new_names, colors=2)[0], "2 channels, not 1, 3 or 4"),
    "more taken than given": (
        lambda: {**srvgg()[0], "body.0.weight": np.zeros((8, 5, 3, 3), np.float32)},
        "no square number",
    ),
    "another mean of colors": (
        lambda: {**edsr("edsr-pytorch")[0], "sub_mean.bias": np.zeros(3, np.float32)},
        "EDSR is the nearest and lacks sub_mean.bias",
    ),
    "a layer of another shape": (
        lambda: {**rrdb(new_names)[0], "conv_hr.weight": np.zeros((8, 8, 1, 1), np.float32)},
        "of another shape tail.0.weight",
    ),
    "nothing": (dict, "holds no weights"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_known_is_refused_by_the_nearest_net_and_what_differs(what, tmp_path):
    make, message = REFUSED[what]
    write_zip(tmp_path / "net.pth", dict(make()))
    with pytest.raises(WeightsError, match=message) as caught:
        ge.get_model(pretrained=tmp_path / "net.pth")
    assert "\n" not in str(caught.value)


def test_torchscript_is_refused_by_name(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        for name in ("net/data.pkl", "net/constants.pkl", "net/code/__torch__.py"):
            archive.writestr(name, b"")
    with pytest.raises(WeightsError, match="TorchScript"):
        ge.get_model(pretrained=tmp_path / "net.pt")


def test_a_name_gives_what_weights_do_not_tell_and_must_fit_them(tmp_path):
    write_zip(tmp_path / "net.pth", dict(edsr("basicsr", 2, channels=8)[0]))
    spec = ge.get_model("edsr_x2", pretrained=tmp_path / "net.pth").spec
    assert spec.kwargs == {"scale": 2, "num_blocks": 2, "channels": 8, "residual_scale": 0.1}
    for name in ("edsr_x4", "rrdb_x4"):
        with pytest.raises(WeightsError, match="give the file without a name|in a known layout"):
            ge.get_model(name, pretrained=tmp_path / "net.pth")


OURS = {
    "esrgan_x4": {"num_blocks": 1, "channels": 8, "growth_channels": 4},
    "realesrgan_x2": {"num_blocks": 1, "channels": 8, "growth_channels": 4},
    "realesr_video_x4": {"num_convs": 2, "channels": 8, "scale": 2},
    "edsr_x2": {"num_blocks": 1, "channels": 8},
    "msrresnet_x4": {"num_blocks": 1, "channels": 8},
    "srgan_voc_x4": {"channels": 8},
}


@pytest.mark.parametrize("name", OURS)
def test_what_export_writes_reads_back(name, tmp_path, rng):
    net = ge.get_model(name, **OURS[name])
    net.initialize(mx.init.Xavier())
    folder = ge.export(net, tmp_path / "out")
    x = mx.nd.array(rng.random((1, 3, 8, 12)))
    again = ge.get_model(pretrained=folder / f"{name}.safetensors")
    np.testing.assert_allclose(again(x).asnumpy(), net(x).asnumpy(), atol=1e-5)
    with pytest.raises(WeightsError, match="X-symbol.json"):
        ge.get_model(pretrained=folder / f"{name}-0000.params")


def test_convert_without_a_name_writes_what_reads_back(tmp_path, rng):
    state, run, _ = rrdb(old_names, doublings=3)
    write_zip(tmp_path / "net.pth", dict(state))
    net = ge.get_model(pretrained=ge.convert(None, tmp_path / "net.pth", tmp_path / "net.params"))
    x = rng.random((1, 3, 6, 5))
    np.testing.assert_allclose(net(mx.nd.array(x)).asnumpy(), run(x), atol=1e-4)
    assert asdict(net.spec)["scale"] == 8
