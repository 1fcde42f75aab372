"""The shapes that operators of ONNX make, and which of their arguments are in range."""

from __future__ import annotations

import math

import numpy as np

from gluon_enhance.engines.checks.calls import (
    NARROW,
    Call,
    broadcast,
    is_narrow,
    need,
    need_vectors,
    required,
    some_axes,
)
from gluon_enhance.engines.checks.onnx_file import BFLOAT16, REAL

LARGEST_SCALE = 64
"""Of one resize."""
MISREAD = ("ReduceL1", "ReduceLogSum", "ReduceLogSumExp")
"""From opset 13 on, in which their axes are an attribute, OpenVINO takes them from an input."""
NEARLY = 1.5e-6
"""OpenVINO adds less than this to scales, and computes in float32."""


def _spatial(call):
    """Return strides, dilations, and the two sides' pads of a window."""
    rank = len(call.shape()) - 2
    need(1 <= rank <= 3, f"its image has shape {call.shape()}")
    strides, dilations = (call.get(name, (1,) * rank) for name in ("strides", "dilations"))
    pads = call.get("pads", (0,) * 2 * rank)
    sizes = (len(strides), len(dilations), len(pads))
    need(sizes == (rank, rank, 2 * rank), f"its window is not one of {rank} axes")
    return strides, dilations, pads[:rank], pads[rank:]


def _windows(call, kernel):
    """Return how many windows fit on each axis."""
    strides, dilations, *pads = _spatial(call)
    need(len(kernel) == len(strides), "its window is not one of the image's axes")
    auto, found = call.get("auto_pad", "NOTSET"), []
    for side, k, stride, dilation, *both in zip(
        call.shape()[2:], kernel, strides, dilations, *pads
    ):
        reach = (k - 1) * dilation + 1
        if auto.startswith("SAME"):
            # Some engines refuse these, and some reckon their margins as if they were not dilated.
            need(reach == k, f"its auto_pad {auto} and dilations are not done alike by all engines")
            found.append(-(-side // stride))
            continue
        room = side - reach + (sum(both) if auto == "NOTSET" else 0)
        need(room >= 0, f"its window of {reach} does not fit {side} pixels")
        found.append(room // stride + 1)
        if call.get("ceil_mode", 0) and room % stride:
            is_inside = found[-1] * stride < side + both[0]
            need(is_inside, "its ceil_mode leads to a window of margins, as not all engines do it")
            found[-1] += 1
    return tuple(found)


def _kernel(call):
    """Return channels and window of a convolution's weight, which must fit its attributes."""
    kernel = call.shape(1)[2:]
    need(len(call.shape(1)) == len(call.shape()), "its weight has not the axes of its image")
    need(tuple(call.get("kernel_shape", kernel)) == kernel, "its kernel_shape is not its weight's")
    need(min(call.shape(1)) > 0, "its weight is empty")
    return call.shape(1)[:2]


def conv(call: Call):
    """A convolution."""
    (batch, channels), groups = call.shape()[:2], call.get("group", 1)
    outputs, each = _kernel(call)
    fits = channels == each * groups and outputs % groups == 0
    need(fits, f"its weight {call.shape(1)} does not fit {channels} channels in {groups} groups")
    need_vectors(call, outputs, range(2, 3))
    return (batch, outputs, *_windows(call, call.shape(1)[2:]))


def conv_transpose(call: Call):
    """A convolution turned around."""
    (batch, channels), groups = call.shape()[:2], call.get("group", 1)
    inputs, each = _kernel(call)
    fits = channels == inputs and channels % groups == 0
    need(fits, f"its weight {call.shape(1)} does not fit {channels} channels in {groups} groups")
    need_vectors(call, each * groups, range(2, 3))
    strides, dilations, *pads = _spatial(call)
    more = call.get("output_padding", (0,) * len(strides))
    need(len(more) == len(strides), "its output_padding is not one of the image's axes")
    auto, found = call.get("auto_pad", "NOTSET"), []
    for side, k, stride, dilation, extra, *both in zip(
        call.shape()[2:], call.shape(1)[2:], strides, dilations, more, *pads
    ):
        need(extra < max(stride, dilation), f"its output_padding {extra} is not below its stride")
        whole = (side - 1) * stride + (k - 1) * dilation + 1 + extra
        # To such a size ONNX has margins cut off, and OpenVINO does not.
        is_cut = auto.startswith("SAME") and whole > side * stride
        need(not is_cut, f"its auto_pad {auto} is not done alike by all engines; give it pads")
        found.append(whole - (sum(both) if auto == "NOTSET" else 0))
    return (batch, each * groups, *found)


def pool(call: Call):
    """A pooling window."""
    kernel = call.get("kernel_shape", None)
    need(kernel is not None, "its kernel_shape is missing")
    is_plain = not call.get("ceil_mode", 0) or call.get("auto_pad", "NOTSET") == "NOTSET"
    need(is_plain, "its ceil_mode and auto_pad are not done alike by all engines; give it pads")
    _, _, *pads = _spatial(call)
    for before, after, k in zip(*pads, kernel):
        need(max(before, after) < k, f"its pads of {max(before, after)} are not below its window")
    return (*call.shape()[:2], *_windows(call, kernel))


def global_pool(call: Call):
    """One number for each channel."""
    need(len(call.shape()) >= 3, f"its image has shape {call.shape()}")
    return (*call.shape()[:2], *(1 for _ in call.shape()[2:]))


def channel_norm(call: Call):
    """A norm with weights for each channel."""
    need(len(call.shape()) >= 2, f"its image has shape {call.shape()}")
    need_vectors(call, call.shape()[1], range(1, len(call.inputs)))
    return call.shape()


def group_norm(call: Call):
    """A norm over groups of channels, whose weights are for each group before opset 21."""
    groups, channels = call.get("num_groups", 0), call.shape()[1]
    need(groups > 0 and channels % groups == 0, f"{groups} groups do not divide {channels}")
    need_vectors(call, channels if call.opset >= 21 else groups, range(1, 3))
    return call.shape()


def layer_norm(call: Call):
    """A norm over the last axes."""
    last = call.shape()[call.axis(-1) :]
    for k in range(1, len(call.inputs)):
        if call.given(k):
            need(np.broadcast_shapes(last, call.shape(k)) == last, f"its input {k} does not fit")
    return call.shape()


def prelu(call: Call):
    """A rectifier with slopes."""
    fits = np.broadcast_shapes(call.shape(), call.shape(1)) == call.shape()
    need(fits, f"its slopes {call.shape(1)} do not fit {call.shape()}")
    return call.shape()


def along_axis(call: Call):
    """What keeps its shape and has an axis."""
    call.axis(-1)
    return call.shape()


def softmax(call: Call):
    """Shares of a whole: of an axis, or before opset 13 of this and all after it."""
    call.axis(-1 if call.opset >= 13 else 1)
    return call.shape()


def mean_norm(call: Call):
    """A norm over axes, without weights."""
    some_axes(call.get("axes", (0, 2, 3)), len(call.shape()))
    return call.shape()


def divided(call: Call):
    """A quotient, or what is left of it.

    Processors stop at a division of whole numbers by 0, and at that of the lowest one by -1: such
    divisors must be known, and be others.
    """
    if call.tensor().kind not in (*REAL, BFLOAT16):
        by = required(call.tensor(1).value, "it divides whole numbers by what pixels tell")
        need(is_narrow(by) and not np.isin(by, (0, -1)).any(), f"it divides by {by!s:.60}")
    return broadcast(call)


def image_only(call: Call):
    """What keeps the shape of an image."""
    return _image(call)


def clip(call: Call):
    """Bounds, which are single numbers."""
    for k in range(1, len(call.inputs)):
        if call.given(k):
            need(math.prod(call.shape(k)) == 1, f"its input {k} is not one number")
    return call.shape()


def dropout(call: Call):
    """What does nothing but in training."""
    need(not (call.given(2) and call.value(2).any()), "it is for training")
    return call.shape()


def quantized(call: Call):
    """Numbers by their scale, which is one or one for each place of an axis."""
    scale = call.shape(1)
    if math.prod(scale) != 1:
        axis = call.axis(1)
        need(scale == (call.shape()[axis],), f"its scales {scale} do not fit {call.shape()}")
    if call.given(2):
        need(call.shape(2) == scale, "its zero points are not as many as its scales")
    return call.shape()


def matmul(call: Call):
    """A product of matrices."""
    first, second = call.shape(), call.shape(1)
    need(len(first) >= 2 and len(second) >= 2, f"{first} and {second} are not both matrices")
    need(first[-1] == second[-2], f"{first} and {second} do not fit each other")
    return (*np.broadcast_shapes(first[:-2], second[:-2]), first[-2], second[-1])


def gemm(call: Call):
    """A product of two matrices, and a sum."""
    first, second = call.shape(), call.shape(1)
    need(len(first) == len(second) == 2, f"{first} and {second} are not both matrices")
    first = first[::-1] if call.get("transA", 0) else first
    second = second[::-1] if call.get("transB", 0) else second
    need(first[1] == second[0], f"{first} and {second} do not fit each other")
    shape = (first[0], second[1])
    if call.given(2):
        need(np.broadcast_shapes(shape, call.shape(2)) == shape, "its sum does not fit")
    return shape


def reshape(call: Call):
    """Other axes for the same numbers."""
    old, wanted = call.shape(), call.whole(1)
    need(
        all(side >= -1 for side in wanted) and wanted.count(-1) <= 1, f"it asks for {wanted!s:.60}"
    )
    if not call.get("allowzero", 0):
        need(all(k < len(old) for k, side in enumerate(wanted) if side == 0), "it copies too much")
        wanted = [side or old[k] for k, side in enumerate(wanted)]
    rest, total = math.prod(side for side in wanted if side != -1), math.prod(old)
    if -1 in wanted:
        need(rest > 0, f"it asks for {wanted!s:.60}")
        wanted[wanted.index(-1)] = total // rest
    need(math.prod(wanted) == total, f"{old} has not the numbers of {wanted!s:.60}")
    return tuple(wanted)


def flatten(call: Call):
    """Two axes."""
    axis, shape = call.get("axis", 1), call.shape()
    need(-len(shape) <= axis <= len(shape), f"axis {axis} is not one of {len(shape)}")
    axis += len(shape) if axis < 0 else 0
    return math.prod(shape[:axis]), math.prod(shape[axis:])


def transpose(call: Call):
    """Axes in another order."""
    shape = call.shape()
    order = call.get("perm", range(len(shape) - 1, -1, -1))
    need(sorted(order) == list(range(len(shape))), f"its order {order!s:.60} is not of all axes")
    return tuple(shape[k] for k in order)


def squeeze(call: Call):
    """Axes of one number left out."""
    shape, axes = call.shape(), call.listed("axes", 1)
    if axes is None:
        axes = [k for k, side in enumerate(shape) if side == 1]
    axes = some_axes(axes, len(shape))
    need(all(shape[k] == 1 for k in axes), f"axes {axes} of {shape} are not of one number")
    return tuple(side for k, side in enumerate(shape) if k not in axes)


def unsqueeze(call: Call):
    """Axes of one number put in."""
    axes = required(call.listed("axes", 1), "its axes are missing")
    sides = iter(call.shape())
    rank = len(call.shape()) + len(axes)
    axes = some_axes(axes, rank)
    return tuple(1 if k in axes else next(sides) for k in range(rank))


def expand(call: Call):
    """A larger shape that it is repeated to."""
    return np.broadcast_shapes(call.shape(), tuple(call.whole(1)))


def tile(call: Call):
    """A number of copies on each axis."""
    times, shape = call.whole(1), call.shape()
    need(len(times) == len(shape) and min(times, default=1) >= 1, f"its repeats are {times!s:.60}")
    return tuple(side * many for side, many in zip(shape, times))


def concat(call: Call):
    """One behind the other."""
    shapes = [call.shape(k) for k in range(len(call.inputs))]
    axis = call.axis()
    rests = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    fits = len(rests) == 1 and len({len(shape) for shape in shapes}) == 1
    need(fits, f"{shapes!s:.120} do not fit each other")
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])


def split(call: Call):
    """Parts of one axis: a list of shapes."""
    axis, shape, many = call.axis(0), call.shape(), len(call.node.outputs)
    parts = call.listed("split", 1)
    if parts is None:
        many = call.get("num_outputs", many)
        each = -(-shape[axis] // many)
        parts = [each] * (many - 1) + [shape[axis] - each * (many - 1)]
    fits = len(parts) == len(call.node.outputs) and sum(parts) == shape[axis] and min(parts) > 0
    need(fits, f"{shape[axis]} cannot be split into {parts!s:.60}")
    return [(*shape[:axis], part, *shape[axis + 1 :]) for part in parts]


def slices(call: Call) -> tuple[slice, ...]:
    """Return what a Slice takes of each axis."""
    starts = required(call.listed("starts", 1), "its starts are missing")
    ends = required(call.listed("ends", 2), "its ends are missing")
    given = call.listed("axes", 3)
    axes = some_axes(range(len(starts)) if given is None else given, len(call.shape()))
    steps = call.whole(4) if call.given(4) else [1] * len(starts)
    need(
        len({len(starts), len(ends), len(axes), len(steps)}) == 1, "its lists are not of one length"
    )
    need(all(0 < abs(step) < NARROW for step in steps), f"its steps are {steps!s:.60}")
    taken = [slice(None)] * len(call.shape())
    for axis, *one in zip(axes, starts, ends, steps):
        taken[axis] = slice(*one)
    return tuple(taken)


def sliced(call: Call):
    """A part of each axis."""
    sides = zip(slices(call), call.shape())
    return tuple(len(range(*one.indices(side))) for one, side in sides)


def gather(call: Call):
    """Places of an axis."""
    axis, shape = call.axis(0), call.shape()
    _need_indices(call.value(1), shape[axis])
    return (*shape[:axis], *call.shape(1), *shape[axis + 1 :])


def _need_indices(indices, side):
    need(indices.dtype.kind in "iu", "its indices are not whole numbers")
    fits = indices.size == 0 or (indices.min() >= -side and indices.max() < side)
    need(fits, f"its indices are out of range: {side} are there")


def gather_nd(call: Call):
    """Places of several axes, in what is known."""
    need(not call.get("batch_dims", 0), "its batch_dims are not 0")
    shape, indices = call.value(0).shape, call.value(1)
    need(indices.ndim >= 1 and 1 <= indices.shape[-1] <= len(shape), "its indices do not fit")
    for k in range(indices.shape[-1]):
        _need_indices(indices[..., k], shape[k])
    return (*indices.shape[:-1], *shape[indices.shape[-1] :])


def scatter_nd(call: Call):
    """Other numbers at places of several axes, in what is known."""
    shape = gather_nd(call)
    need(call.value(2).shape == shape, "its updates are not as many as its indices")
    return call.shape()


def depth_to_space(call: Call):
    """Channels that become pixels."""
    side, (batch, channels, height, width) = call.get("blocksize", 0), _image(call)
    need(side > 0 and channels % side**2 == 0, f"{channels} channels are no blocks of {side}")
    return batch, channels // side**2, height * side, width * side


def space_to_depth(call: Call):
    """Pixels that become channels."""
    side, (batch, channels, height, width) = call.get("blocksize", 0), _image(call)
    fits = side > 0 and height % side == 0 and width % side == 0
    need(fits, f"{height} x {width} pixels are no blocks of {side}")
    return batch, channels * side**2, height // side, width // side


def _image(call):
    need(len(call.shape()) == 4, f"its image has shape {call.shape()}")
    return call.shape()


def pad(call: Call):
    """Margins; below 0 they are cut off."""
    shape, pads = call.shape(), required(call.listed("pads", 1), "its pads are missing")
    axes = some_axes(call.whole(3) if call.given(3) else range(len(shape)), len(shape))
    need(len(pads) == 2 * len(axes), "its pads are not two for each axis")
    if call.given(2):
        need(math.prod(call.shape(2)) == 1, "its value is not one number")
    sides = list(shape)
    for axis, before, after in zip(axes, pads, pads[len(axes) :]):
        if call.get("mode", "constant") != "constant":
            most = shape[axis] - 1 if call.get("mode", "") == "reflect" else shape[axis]
            need(max(before, after) <= most, f"its margins are larger than {shape[axis]} allow")
        cut = min(before, 0) + min(after, 0)
        need(shape[axis] + cut > 0, f"its margins leave nothing of {shape[axis]}")
        sides[axis] += before + after
    return tuple(sides)


def resize(call: Call):
    """Another size."""
    shape = call.shape()
    if call.node.op == "Upsample" and call.opset < 9:
        scales, sizes = call.get("scales", None), None
    else:
        k = 1 if call.node.op == "Upsample" or call.opset < 11 else 2
        scales = _scales(call.value(k)) if call.given(k) else None
        sizes = call.whole(3) if call.given(3) else None
    axes = some_axes(call.get("axes", range(len(shape))), len(shape))
    wanted = list(shape)
    if sizes:
        need(not scales and len(sizes) == len(axes), "its sizes do not fit")
        for axis, side in zip(axes, sizes):
            wanted[axis] = side
    else:
        need(scales is not None and len(scales) == len(axes), "its scales do not fit")
        need(all(0 < scale <= LARGEST_SCALE for scale in scales), f"its scales are {scales!s:.60}")
        for axis, scale in zip(axes, scales):
            wanted[axis] = _scaled(shape[axis], scale)
    fits = all(0 < side <= LARGEST_SCALE * old for side, old in zip(wanted, shape))
    need(fits, f"it makes {wanted!s:.60} of {shape}")
    return tuple(wanted)


def _scales(values):
    is_list = values.dtype == np.float32 and values.ndim == 1
    need(is_list, "its scales are no list of float32, of which all engines make the same sides")
    return values.tolist()


def _scaled(side, scale):
    """Return a side times a scale, rounded down; engines round 6.9999998 to 6 or to 7."""
    highest = side * (scale + NEARLY) * (1 + 2 * float(np.finfo(np.float32).eps))
    is_clear = math.floor(side * scale) == math.floor(highest)
    need(is_clear, f"{side} pixels times {scale} are not rounded alike by all engines")
    return math.floor(side * scale)


def reduce(call: Call):
    """One number for each place of the other axes."""
    is_misread = call.node.op in MISREAD and call.opset >= 13 and "axes" in call.attributes
    need(not is_misread, f"OpenVINO does not read its axes in opset {call.opset}; 18 has them")
    shape = call.shape()
    axes = call.listed("axes", 1)
    if not axes and call.get("noop_with_empty_axes", 0):
        return shape
    axes = some_axes(axes or range(len(shape)), len(shape))
    if call.get("keepdims", 1):
        return tuple(1 if k in axes else side for k, side in enumerate(shape))
    return tuple(side for k, side in enumerate(shape) if k not in axes)


def shape_of(call: Call):
    """The list of an input's sides."""
    return (len(call.shape()[shape_range(call)]),)


def shape_range(call: Call) -> slice:
    """Return which sides a Shape gives."""
    return slice(call.get("start", 0), call.get("end", None))


def scalar(call: Call):
    """One number."""
    call.shape()
    return ()


def constant_of_shape(call: Call):
    """A constant as large as it is asked for."""
    sides = call.whole(0)
    need(all(side >= 0 for side in sides), f"it asks for {sides!s:.60}")
    return tuple(sides)


def ranged(call: Call):
    """Numbers from one to another."""
    start, stop, step = (call.value(k).reshape(-1) for k in range(3))
    need(len(start) == len(stop) == len(step) == 1 and step[0] != 0, "its bounds do not fit")
    need(all(map(is_narrow, (start, stop, step))), "its bounds are not within 32 bits")
    if start.dtype.kind == "f":  # Engines differ in how they round their steps.
        is_whole = all(one == np.trunc(one) and abs(one) < 1 << 24 for one in (start, stop, step))
        need(is_whole, "its bounds are no whole numbers below 2^24")
    length = np.ceil((float(stop[0]) - float(start[0])) / float(step[0]))
    need(length < 1 << 40, "it has no end")
    return (max(0, int(length)),)
