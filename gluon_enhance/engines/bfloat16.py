"""Nets for OpenVINO in bf16: what costs no time and keeps the most of the answer.

A number in bf16 has 8 significant bits. Products are summed in fp32, but OpenVINO keeps the last
layer's sums in bf16 too, and so gives a picture of at most 128 levels between 0.5 and 1. Besides,
weights are rounded one by one; where a picture is smooth, the errors of a kernel add up to a tint.
"""

from __future__ import annotations

import numpy as np

REPEATING = {
    ("nearest", "scales", "half_pixel", "round_prefer_floor"),
    ("nearest", "scales", "half_pixel", "round_prefer_ceil"),
    ("nearest", "scales", "asymmetric", "floor"),
}
"""Ways of sampling that, where a scale is a whole number, repeat each pixel as often as any."""

SAMPLING = ("mode", "shape_calculation_mode", "coordinate_transformation_mode", "nearest_mode")


def with_folded_scales(model):
    """Return a copy of a net whose scales are part of weights now, not when these are rounded.

    Parameters
    ----------
    model : openvino.Model

    Returns
    -------
    openvino.Model
    """
    from openvino._offline_transformations import apply_moc_transformations

    model = model.clone()
    apply_moc_transformations(model, cf=False)
    return model


def with_rounded_kernels(openvino, model):
    """Return a net whose kernels OpenVINO need not round, by `rounded_kernels`.

    Parameters
    ----------
    openvino : module
    model : openvino.Model
        It is left as it is.

    Returns
    -------
    openvino.Model
    """
    model = with_folded_scales(model)
    for op in model.get_ops():
        if op.get_type_name() == "Convolution":
            weights = constant_of(op.input_value(1).get_node())
            if weights is not None:
                rounded = openvino.op.Constant(rounded_kernels(weights))
                op.input(1).replace_source_output(rounded.output(0))
    model.validate_nodes_and_infer_types()
    return model


def keep_last_sums(openvino, model) -> None:
    """Have a net compute its last convolutions' sums, and what is behind them, in fp32.

    What is rounded there is in the picture at once; what is rounded before, later layers average.
    From a net's end back to its last convolutions and enlargements OpenVINO computes in fp32, and a
    convolution's sums with the layer that follows it. So each last convolution gets one that
    changes nothing, and enlargements that only repeat pixels are written as other layers.
    """
    ops, slope = openvino.opset8, np.ones(1, np.float32)
    behind, seen = [result.input_value(0) for result in model.get_results()], set()
    while behind:
        output = behind.pop()
        node, consumers = output.get_node(), output.get_target_inputs()
        if node.get_friendly_name() in seen:
            continue
        seen.add(node.get_friendly_name())
        if _is_sum(node):
            _redirect(consumers, ops.prelu(output, slope))
        elif node.get_type_name() != "Interpolate":
            behind += node.input_values()
        elif scale := _repetitions(node):
            behind.append(node.input_value(0))
            _redirect(consumers, _repeated(ops, node.input_value(0), scale))
    model.validate_nodes_and_infer_types()


def _is_sum(node):
    """Whether a node is a convolution, or adds the bias to one."""
    if node.get_type_name() == "Add" and constant_of(node.input_value(1).get_node()) is not None:
        node = node.input_value(0).get_node()
    return "Convolution" in node.get_type_name()


def _redirect(consumers, node):
    for consumer in consumers:
        consumer.replace_source_output(node.output(0))


def _repetitions(node):
    """How many pixels like it an enlargement makes of one in each direction; 0 if it mixes them."""
    how, (data, *parameters) = node.get_attributes(), node.input_values()
    # Older versions of the operator have other attributes, or sizes before the scales.
    if tuple(map(how.get, SAMPLING)) not in REPEATING or len(parameters) > 1:
        return 0
    scales = constant_of(parameters[0].get_node())
    padded = any(how["pads_begin"]) or any(how["pads_end"])
    if scales is None or padded or data.get_partial_shape()[1].is_dynamic:
        return 0
    scale = int(scales[-1])
    return scale if scales.tolist() == [1, 1, scale, scale] else 0


def _repeated(ops, data, scale):
    """Enlarge by nearest neighbors, as a layer that moves channels into space."""
    each = np.repeat(np.arange(data.get_partial_shape()[1].get_length()), scale**2)
    return ops.depth_to_space(ops.gather(data, each, 1), "depth_first", scale)


def constant_of(node):
    """Return an array, be it stored in fp32 or in 16 bits, as fp32; None of what is computed."""
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return node.data.astype(np.float32) if node.get_type_name() == "Constant" else None


def rounded_kernels(weights: np.ndarray) -> np.ndarray:
    """Round weights to bf16 so that each kernel's sum stays, as nearly as its smallest can tell.

    What rounding a weight takes away is added to the next smaller one of its kernel.

    Parameters
    ----------
    weights : ndarray of shape (O, I, kH, kW), float32

    Returns
    -------
    ndarray of the same shape, float32
        Of numbers that bf16 holds.
    """
    kernels = weights.reshape(-1, weights.shape[2] * weights.shape[3])
    order = np.argsort(-np.abs(kernels), axis=1)
    falling = np.take_along_axis(kernels, order, axis=1)
    error = np.zeros(len(kernels), np.float32)
    for k in range(kernels.shape[1]):
        wanted = falling[:, k] + error
        falling[:, k] = to_bf16(wanted)
        error = wanted - falling[:, k]
    rounded = np.empty_like(kernels)
    np.put_along_axis(rounded, order, falling, axis=1)
    return rounded.reshape(weights.shape)


def to_bf16(values: np.ndarray) -> np.ndarray:
    """Round finite float32 to the nearest that bf16 holds, half to even; the result is float32."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)
