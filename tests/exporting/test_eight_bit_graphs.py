"""Rounding OpenVINO's graphs to 8 bits, against NumPy and against the graphs themselves."""

import numpy as np
import pytest

openvino = pytest.importorskip("openvino")

from gluon_enhance.exporting import eight_bit_graphs  # noqa: E402
from gluon_enhance.exporting.eight_bit_graphs import EightBitGraph  # noqa: E402

ops = openvino.opset8
IMAGE = np.random.default_rng(0).random((1, 3, 12, 10), np.float32)


def conv(source, channels, seed, name, bias=True):
    rng = np.random.default_rng(seed)
    shape = (channels, source.get_output_partial_shape(0)[1].get_length(), 3, 3)
    sizes = 10 ** rng.uniform(
        -1.5, 1, (channels, 1, 1, 1)
    )  # of channels, as trained nets have them
    weights = (rng.normal(0, 0.2, shape) * sizes).astype(np.float32)
    node = ops.convolution(source, ops.constant(weights), [1, 1], [1, 1], [1, 1], [1, 1])
    node.set_friendly_name(name)
    if not bias:
        return node
    constant = ops.constant(rng.normal(0, 0.1, (1, channels, 1, 1)).astype(np.float32))
    return ops.add(node, constant)


def dense_net():
    """A dense block of two layers, with a sum behind it, and one more layer."""
    image = ops.parameter([1, 3, -1, -1], np.float32)
    trunk = conv(image, 8, 1, "first")
    slope = ops.constant(np.float32([0.2]))
    one = ops.prelu(conv(trunk, 8, 2, "one"), slope)
    two = ops.prelu(conv(ops.concat([trunk, one], 1), 8, 3, "two"), slope)
    three = conv(ops.concat([trunk, one, two], 1), 8, 4, "three")
    return openvino.Model([conv(ops.add(trunk, three), 3, 5, "last")], [image], "dense")


def run(model, image=IMAGE):
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    results = openvino.Core().compile_model(model, "CPU", options)(image)
    return [np.array(results[k]) for k in range(len(model.outputs))]


def ranges_of(graph):
    names, probe = graph.probe()
    sides = [side.reshape(-1) for side in run(probe)]
    return dict(zip(names, zip(sides[::2], sides[1::2])))


def extent(sides):
    return np.maximum(-sides[0], sides[1])


def psnr(exact, rounded):
    return 10 * np.log10(np.ptp(exact) ** 2 / np.mean((exact - rounded) ** 2, dtype=np.float64))


def test_even_channels_change_no_answer_and_their_ranges_are_known():
    graph = EightBitGraph(openvino, dense_net())
    (expected,) = run(graph.model)
    found = graph.even_channels(ranges_of(graph))
    assert np.abs(run(graph.model)[0] - expected).max() <= 1e-5 * np.abs(expected).max()
    measured = ranges_of(graph)
    assert found.keys() == measured.keys()
    for name, sides in measured.items():
        assert np.allclose(found[name], sides, rtol=1e-3, atol=1e-4)


def test_channels_get_the_range_of_the_map_beside_them_that_cannot_be_scaled(monkeypatch):
    monkeypatch.setattr(eight_bit_graphs, "EVENNESS", 1)
    graph = EightBitGraph(openvino, dense_net())
    trunk, one, two = list(before := ranges_of(graph))[1:4]
    after = graph.even_channels(before)
    assert np.array_equal(after[trunk], before[trunk])  # a sum takes it, too
    for name in (one, two):
        assert extent(before[name]).max() > 2 * extent(before[name]).min()
        assert np.allclose(extent(after[name]), extent(before[trunk]).max(), rtol=1e-3)


def test_a_dense_block_with_even_channels_is_nearer_to_what_it_was():
    kept = []
    for are_even in (False, True):
        graph = EightBitGraph(openvino, dense_net())
        (exact,) = run(graph.model)
        ranges = ranges_of(graph)
        ranges = graph.even_channels(ranges) if are_even else ranges
        kept.append(psnr(exact, run(graph.rounded(ranges, {"one", "two", "three"}))[0]))
    assert kept[1] > kept[0] + 2 and kept[1] > 30


def test_a_rounded_layer_computes_what_numpy_does_with_its_rounded_numbers():
    image = ops.parameter([1, 3, -1, -1], np.float32)
    model = openvino.Model([conv(image, 4, 7, "only", bias=False)], [image], "one layer")
    graph = EightBitGraph(openvino, model)
    weights = graph.convolutions()["only"].astype(np.float64)
    (rounded,) = run(graph.rounded(ranges_of(graph), {"only"}))

    scale = np.abs(weights).max(axis=(1, 2, 3), keepdims=True) / 127
    step = IMAGE.max().astype(np.float64) / 255
    kernels, padded = np.rint(weights / scale) * scale, np.rint(IMAGE[0] / step) * step
    padded = np.pad(padded, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    expected = np.einsum("ihwyx,oiyx->ohw", windows, kernels)
    assert np.abs(rounded[0] - expected).max() <= 1e-4 * np.abs(expected).max()
    assert np.abs(rounded - run(model)[0]).max() > 1e-3  # which is not what it was


def test_convolutions_that_take_maps_in_common_are_one_unit():
    graph = EightBitGraph(openvino, dense_net())
    assert graph.units() == [["first"], ["one", "two", "three"], ["last"]]


def test_what_is_rounded_leaves_the_graph_as_it_is():
    graph = EightBitGraph(openvino, dense_net())
    ranges, before = ranges_of(graph), run(graph.model)
    graph.rounded(ranges, {"one"})
    assert np.array_equal(run(graph.model), before)
