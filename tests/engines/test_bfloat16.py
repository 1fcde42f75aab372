"""OpenVINO in bf16, which it emulates on processors with AVX-512 that have none."""

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio

import gluon_enhance as ge
from gluon_enhance import engines
from gluon_enhance.engines.bfloat16 import (
    keep_last_sums,
    rounded_kernels,
    to_bf16,
    with_rounded_kernels,
)
from gluon_enhance.rasters.enhance import enhance_raster
from gluon_enhance.weights import store

openvino = pytest.importorskip("openvino")
RAMP = np.broadcast_to(np.linspace(39000, 45000, 96).round()[:, None], (32, 96, 3)).astype("u2")
"""A sixteenth of the range: bf16 has 24 numbers there."""


def flags():
    path = Path("/proc/cpuinfo")
    return path.read_text().split() if path.is_file() else []


@pytest.fixture
def bf16(monkeypatch):
    """A processor that has bf16, or seems to."""
    if "avx512f" not in flags():
        pytest.skip("the processor has no AVX-512, without which OpenVINO does not emulate bf16")
    from gluon_enhance.engines.openvino import OpenVINOEngine

    monkeypatch.setattr(OpenVINOEngine, "_has_bf16", lambda self: True)


def batch_of(image):
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None] / np.float32(65535))


def levels(sr):
    """Count the numbers that 16 bits tell apart."""
    return len(np.unique((np.clip(sr, 0, 1) * 65535).round()))


def test_numbers_are_rounded_to_eight_significant_bits_half_to_even(rng):
    values = np.concatenate([rng.normal(0, 1, 500), [0, 1 + 2**-8, 1 + 3 * 2**-8, -1.5, 3e-30]])
    mantissa, exponent = np.frexp(values.astype(np.float32).astype(np.float64))
    expected = np.ldexp(np.rint(mantissa * 256) / 256, exponent)
    assert np.array_equal(to_bf16(values.astype(np.float32)), expected)


def test_rounded_kernels_keep_their_sums_and_nearly_their_weights(rng):
    kernels = rng.normal(0, 0.1, (40, 20, 3, 3)).astype(np.float32)
    rounded = rounded_kernels(kernels)
    assert np.array_equal(to_bf16(rounded), rounded)
    assert (np.abs(rounded - kernels) <= 2**-7 * np.abs(kernels).max((2, 3), keepdims=True)).all()

    def sums_differ(other):
        difference = other.sum((2, 3), dtype=np.float64) - kernels.sum((2, 3), dtype=np.float64)
        return np.sqrt(np.mean(difference**2))

    assert sums_differ(rounded) < sums_differ(to_bf16(kernels)) / 10


@pytest.mark.parametrize("name", ["srresnet_x4", "edsr_lite_x2", "realesrgan_lite_x4"])
def test_net_made_ready_for_bf16_is_the_same_net_with_rounded_weights(name):
    """Of scales behind a convolution too, which OpenVINO folds into it: norms, and a range."""
    core = openvino.Core()
    net = core.read_model(str(store.find_shipped(name, ".onnx")))
    batch, options = batch_of(RAMP[:16, :24]), {"INFERENCE_PRECISION_HINT": "f32"}
    before = core.compile_model(net, "CPU", options)(batch)[0].copy()
    rounded = with_rounded_kernels(openvino, net)
    keep_last_sums(openvino, rounded)
    ready = core.compile_model(rounded, "CPU", options)(batch)[0].copy()
    assert 0 < np.abs(ready - before).max() < 2 / 255
    assert np.array_equal(core.compile_model(net, "CPU", options)(batch)[0], before)


@pytest.mark.parametrize(
    "name, precision",
    [
        ("rrdb_lite_x4", "bf16"),
        ("rrdb_lite_x4", "int8"),
        ("srresnet_x4", "bf16"),
        ("edsr_lite_x2", "bf16"),
    ],
)
def test_sums_of_the_last_layer_are_not_rounded(bf16, name, precision):
    suffix = ".int8.xml" if precision == "int8" else ".onnx"
    model = store.find_shipped(name, suffix)
    sr = engines.load("openvino", model, precision=precision, threads=1, trusted=True).run(
        batch_of(RAMP)
    )
    assert levels(sr) >= 3000


def net_whose_means_are_enlarged(scale, how):
    """Means of four pixels by a convolution, to which their own means are added, enlarged."""
    ops = openvino.opset11
    image = openvino.op.Parameter(openvino.Type.f32, openvino.PartialShape([1, 1, -1, -1]))
    kernel = np.full((1, 1, 2, 2), 0.25, np.float32)
    ones, zeros = [1, 1], [0, 0]
    convolved = ops.convolution(image, kernel, ones, zeros, zeros, ones, "same_upper")
    sides = {"kernel_shape": [scale] * 2, "strides": [scale] * 2}
    pooled = ops.avg_pool(convolved, pads_begin=zeros, pads_end=zeros, exclude_pad=True, **sides)
    scales = np.array([1, 1, scale, scale], np.float32)
    enlarged = ops.interpolate(pooled, scales, shape_calculation_mode="scales", **how)
    return openvino.Model(ops.add(convolved, enlarged), [image])


WAYS = {
    "as MXNet's UpSampling": {"mode": "nearest", "nearest_mode": "round_prefer_floor"},
    "by the floor": {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    },
    "rounded from corners": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"},
    "linearly": {"mode": "linear_onnx"},
}


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
def test_layers_behind_the_last_convolution_stay_what_they_are(rng, how, scale):
    net, image = net_whose_means_are_enlarged(scale, how), rng.random((1, 1, 24, 36), np.float32)
    core, options = openvino.Core(), {"INFERENCE_PRECISION_HINT": "f32"}
    before = core.compile_model(net, "CPU", options)(image)[0].copy()
    keep_last_sums(openvino, net)
    after = core.compile_model(net, "CPU", options)(image)[0]
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6)


def test_enlargements_of_older_files_stay_what_they_are(rng):
    """Their attributes are others, and they have sizes in place of scales."""
    image = openvino.op.Parameter(openvino.Type.f32, openvino.PartialShape([1, 2, 6, 5]))
    how = {"axes": [2, 3], "mode": "nearest", "pads_begin": [0], "pads_end": [0]}
    net = openvino.Model(openvino.opset1.interpolate(image, np.array([12, 10]), how), [image])
    batch, options = rng.random((1, 2, 6, 5), np.float32), {"INFERENCE_PRECISION_HINT": "f32"}
    before = openvino.Core().compile_model(net, "CPU", options)(batch)[0].copy()
    keep_last_sums(openvino, net)
    after = openvino.Core().compile_model(net, "CPU", options)(batch)[0]
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("scale", [2, 4])
def test_layers_behind_the_last_convolution_are_not_rounded(bf16, rng, scale):
    """Of an image that bf16 holds, as sums of four of whose pixels it does not."""
    image = to_bf16(rng.random((1, 1, 24, 36), np.float32))
    net = net_whose_means_are_enlarged(scale, WAYS["as MXNet's UpSampling"])
    keep_last_sums(openvino, net)
    options = {"INFERENCE_PRECISION_HINT": "bf16"}
    got = openvino.Core().compile_model(net, "CPU", options)(image)[0][0, 0]
    exact = np.pad(image[0, 0].astype(np.float64), ((0, 1), (0, 1)))
    exact = (exact[:-1, :-1] + exact[1:, :-1] + exact[:-1, 1:] + exact[1:, 1:]) / 4
    means = exact.reshape(24 // scale, scale, 36 // scale, scale).mean((1, 3))
    exact += means.repeat(scale, 0).repeat(scale, 1)
    np.testing.assert_allclose(got, exact, rtol=0, atol=1e-6)


def test_bf16_is_nearer_to_fp32_than_openvino_leaves_it(bf16):
    model, batch = store.find_shipped("edsr_lite_x2", ".onnx"), batch_of(RAMP)
    core = openvino.Core()
    plain = core.compile_model(str(model), "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})(batch)[0]
    exact, ours = (
        engines.load("openvino", model, precision=p, threads=1).run(batch) for p in ("fp32", "bf16")
    )
    plain, ours = (np.sqrt(np.mean((sr - exact) ** 2)) for sr in (plain, ours))
    assert ours < plain / 2


def precision_of(enhancer, dtype):
    return enhancer.for_dtype(dtype).describe()["precision"]


def test_auto_takes_bf16_for_eight_bits_and_fp32_for_more(bf16):
    enhancer = ge.Enhancer("edsr_lite_x2", engine="openvino", threads=1)
    assert [precision_of(enhancer, kind) for kind in ("uint8", "int8")] == ["bf16"] * 2
    deep = ("uint16", "int16", "float16", "float32", "float64")
    assert [precision_of(enhancer, kind) for kind in deep] == ["fp32"] * 5
    described = enhancer.describe()
    assert (described["precision"], described["deep_precision"]) == ("bf16", "fp32")


def test_a_net_that_bf16_bends_on_one_kind_of_picture_stays_in_fp32_and_says_so(bf16):
    enhancer = ge.Enhancer("style_wave", engine="openvino", threads=1)
    described = enhancer.describe()
    assert described["precision"] == "fp32"
    reason = r"bf16 keeps \d\d\.\d dB to it on a picture of kind sky"
    assert re.fullmatch(reason, described["precision_reason"])
    again = ge.Enhancer("style_wave", engine="openvino", threads=1)  # by what was kept
    assert again.describe() == described
    named = ge.Enhancer("style_wave", engine="openvino", precision="bf16", threads=1)
    assert named.describe()["precision"] == "bf16"
    assert "precision_reason" not in named.describe()


def test_one_kind_of_picture_decides(bf16, monkeypatch):
    from gluon_enhance.engines.openvino import MIN_AGREEMENT, OpenVINOEngine

    agreements = {"photo": 60.0, "text": MIN_AGREEMENT, "sky": 51.0}
    for sky, precision in ((MIN_AGREEMENT, "bf16"), (MIN_AGREEMENT - 0.1, "fp32"), (-5, "fp32")):
        found = {**agreements, "sky": sky}
        monkeypatch.setattr(OpenVINOEngine, "_agreements", lambda self, found=found: found)
        model = store.find_shipped("srcnn_x4", ".onnx")
        engine = engines.load("openvino", model, threads=1)
        assert engine.describe()["precision"] == precision


@pytest.mark.parametrize("precision", ["bf16", "int8", "fp32"])
def test_precision_that_is_asked_for_is_that_of_every_depth(bf16, precision):
    enhancer = ge.Enhancer("edsr_lite_x2", engine="openvino", precision=precision, threads=1)
    assert precision_of(enhancer, "uint16") == precision_of(enhancer, "uint8") == precision
    workers = ge.Enhancer(
        "edsr_lite_x2", engine="openvino", precision="bf16", deep_precision="fp32", threads=1
    )
    assert precision_of(workers, "uint16") == "fp32"


@pytest.mark.parametrize("image", [RAMP, RAMP / np.float32(65535)], ids=["uint16", "float32"])
def test_deep_photos_are_those_of_fp32(bf16, image):
    got, exact = (
        ge.enhance(image, "edsr_lite_x2", engine="openvino", precision=p, tile=40, threads=1)
        for p in ("auto", "fp32")
    )
    assert np.array_equal(got, exact) and len(np.unique(got)) >= 2000


def test_deep_rasters_are_those_of_fp32(bf16, tmp_path):
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)}
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 3, "height": 32, "width": 96}
    with rasterio.open(tmp_path / "in.tif", "w", **profile, **place) as dst:
        dst.write(RAMP.transpose(2, 0, 1))
    results = []
    for precision in ("auto", "fp32"):
        enhancer = ge.Enhancer("edsr_lite_x2", engine="openvino", precision=precision, threads=1)
        out = enhance_raster(tmp_path / "in.tif", tmp_path / f"{precision}.tif", enhancer)
        with rasterio.open(out) as dataset:
            results.append(dataset.read())
    assert np.array_equal(*results) and len(np.unique(results[0])) >= 1000


@pytest.mark.parametrize("image", [RAMP, (RAMP / 257).astype(np.uint8)], ids=["uint16", "uint8"])
def test_default_on_a_processor_with_bf16_keeps_depth_and_neutral_colors(image):
    if "avx512_bf16" not in flags():
        pytest.skip("the processor's flags lack avx512_bf16")
    sr = ge.enhance(image)
    assert image.dtype == np.uint8 or len(np.unique(sr)) >= 3000
    assert np.ptp(sr, axis=2).max() == 0
