"""The names that official files give to weights, and the nets' own names for them.

A net whose official weights use other names gets its layouts here, by the name of its class.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Callable, Optional

import numpy as np

from gluon_enhance.weights.names.ncnn_graph import rrdb_graph, srvgg_graph


@dataclass(frozen=True)
class Layout:
    """One way to name a net's weights.

    Attributes
    ----------
    marker : str
        A key that only this layout of the net has.
    names : tuple of (str, str)
        Pattern of a key without its ``.weight`` or ``.bias`` if it ends so, and the net's name
        for it as a template of `re.Match.expand`; ``{blocks}`` stands for the number of blocks
        in the body.
    axes : tuple of int
        Where the axes of (out, in, height, width) are in its kernels.
    fixed : mapping of str to ndarray or str
        Keys of what the net has built in, which must have these values.
    published : bool
        Nets are exported under these names, which then cover every layer.
    padding : str, optional
        How the net must pad, where one class has weights of several that all fit.
    """

    marker: str
    names: tuple[tuple[str, str], ...]
    axes: tuple[int, ...] = (0, 1, 2, 3)
    fixed: Mapping[str, np.ndarray | str] = field(default_factory=dict)
    published: bool = False
    padding: Optional[str] = None


RRDB_CONV = r"body.\1.rdb\2.conv\3"
PUBLISHED = 5
"""Residual blocks of leftthomas/SRGAN's generators."""
BATCH_NORM, INSTANCE_NORM = "SpatialBatchNormalization 1e-05", "InstanceNormalization 1e-05"


def _dped_names():
    """Name the variables of DPED's TensorFlow graph, which numbers norms in order of creation."""
    blocks = [(block, k) for block in range(4) for k in (1, 2)]
    convs = ["head", *(f"body.{i}.conv{k}" for i, k in blocks), "body.4", "body.5", "tail"]
    for number, conv in enumerate(convs, 1):
        yield rf"generator/W{number}", f"{conv}.weight"
        yield rf"generator/b{number}", f"{conv}.bias"
    for place, (i, k) in enumerate(blocks):
        shift = f"_{2 * place}" if place else ""
        yield rf"generator/Variable{shift}", f"body.{i}.norm{k}.beta"
        yield rf"generator/Variable_{2 * place + 1}", f"body.{i}.norm{k}.gamma"


def _srgan_names(blocks):
    """Name the generator of leftthomas/SRGAN, whose last block ends with the tail, at any scale."""
    yield r"block1\.([01])", r"head.\1"
    for i in range(blocks):
        yield rf"block{i + 2}\.conv([12])", rf"body.{i}.conv\1"
        yield rf"block{i + 2}\.bn([12])", rf"body.{i}.norm\1"
        yield rf"block{i + 2}\.prelu", f"body.{i}.prelu"
    trunk, enlarging = f"block{blocks + 2}", f"block{blocks + 3}"
    yield rf"{trunk}\.0", f"body.{blocks}"
    yield rf"{trunk}\.1", f"body.{blocks + 1}"
    for k in range(3):
        yield rf"{enlarging}\.{k}\.conv", f"upsample.{2 * k}"
        yield rf"{enlarging}\.{k}\.prelu", f"upsample.{2 * k + 1}"
    yield rf"{enlarging}\.\d", "tail"


def _srgan_layout(keys):
    """Lay out leftthomas/SRGAN's generator, of which all published ones have five blocks."""
    return srgan_layout(_count(keys, r"block(\d+)\.conv1\.weight"))


def srgan_layout(blocks: int) -> Layout:
    """Lay out an SRResNet of so many residual blocks as leftthomas/SRGAN names its own."""
    return Layout("block1.0.weight", tuple(_srgan_names(blocks)), published=blocks == PUBLISHED)


def _srvgg_of(keys):
    return _srvgg_layout((_last(keys, r"body\.(\d+)\.weight") - 2) // 2)


def _old_rrdb_layout(keys):
    """Lay out ESRGAN's release of 2018, as most community models are, by its doublings.

    Each is three layers, of which the second is a convolution; two more convolutions follow.
    """
    tail = _last(keys, r"model\.(\d+)\.weight")
    doublings = (tail - 4) // 3
    return Layout(
        marker="model.0.weight",
        names=(
            (r"model\.0", "head"),
            (r"model\.1\.sub\.(\d+)\.RDB([1-3])\.conv([1-5])\.0", RRDB_CONV),
            (r"model\.1\.sub\.(\d+)\.RDB([1-3])\.conv1x1", r"body.\1.rdb\2.conv1x1"),
            (r"model\.1\.sub\.(\d+)", r"body.\1"),
            *((rf"model\.{3 * k + 3}", f"upsample.{k}") for k in range(doublings)),
            (rf"model\.{3 * doublings + 2}", "tail.0"),
            (rf"model\.{3 * doublings + 4}", "tail.2"),
        ),
    )


def _ncnn_rrdb_layout(keys):
    """Lay out an RRDBNet in ncnn's files, of 15 convolutions a block and four besides."""
    convs = max(_count(keys, r"convolution\.(\d+)\.weight") - 4, 0)
    blocks, doublings = divmod(convs, 15)
    return _ncnn_layout(_rrdb_convs(blocks, doublings), graph=rrdb_graph(blocks, doublings))


def _ncnn_srvgg_layout(state):
    num_convs = max(_count(state, r"convolution\.(\d+)\.weight") - 2, 0)
    first, last = (state.get(f"convolution.{k}.weight") for k in (0, num_convs + 1))
    scale = 1 if last is None else math.isqrt(len(last) // max(first.shape[1], 1))
    return _ncnn_layout(*_srvgg_convs(num_convs), graph=srvgg_graph(num_convs, scale))


def _count(keys, pattern):
    return len({match[1] for match in _matches(keys, pattern)})


def _last(keys, pattern):
    return max((int(match[1]) for match in _matches(keys, pattern)), default=0)


def _matches(keys, pattern):
    return filter(None, (re.fullmatch(pattern, str(key)) for key in keys))


def _srvgg_layout(num_convs):
    last = 2 * num_convs + 2
    return Layout(
        marker=f"body.{last - 1}.weight",  # a PReLU's, which is alpha in the net
        names=(
            (r"body\.([01])", r"head.\1"),
            *((rf"body\.{k}", f"body.{k - 2}") for k in range(2, last)),
            (rf"body\.{last}", "tail"),
        ),
        published=True,
    )


def _ncnn_layout(convs, slopes=(), *, graph):
    """Name the layers of ncnn's files, which number them in the graph's order.

    The graph is the whole net's, activations and sums too: weights of another do not pass for it.
    """
    kinds = {"convolution": convs, "prelu": slopes}
    names = [(rf"{kind}\.{k}", name) for kind in kinds for k, name in enumerate(kinds[kind])]
    return Layout("convolution.0.weight", names=tuple(names), fixed={"graph": graph})


def _rrdb_convs(num_blocks, doublings):
    """List the convolutions of an RRDBNet in the order they are computed in."""
    dense = [
        (block, k, conv) for block in range(num_blocks) for k in (1, 2, 3) for conv in range(1, 6)
    ]
    body = [f"body.{block}.rdb{k}.conv{conv}" for block, k, conv in dense]
    upsample = [f"upsample.{k}" for k in range(doublings)]
    return ["head", *body, f"body.{num_blocks}", *upsample, "tail.0", "tail.2"]


def _srvgg_convs(num_convs):
    """List the convolutions and the activations of an SRVGGNetCompact in their order."""
    convs = ["head.0", *(f"body.{2 * k}" for k in range(num_convs)), "tail"]
    return convs, ["head.1", *(f"body.{2 * k + 1}" for k in range(num_convs))]


def _style_layers(norm, padding):
    """Yield place, class with geometry, and name of every layer of fast-neural-style's nets."""
    conv, wide = "SpatialConvolution 3 3", "SpatialConvolution 9 9 1 1 4 4"
    down, doubling = f"{conv} 2 2 1 1", "SpatialFullConvolution 3 3 2 2 1 1 1 1"
    yield "", "Sequential", None
    if padding == "zero":
        first, kept, skip = 0, f"{conv} 1 1 1 1", "Identity"
    else:
        first, kept, skip = 1, f"{conv} 1 1 0 0", "ShaveImage 2"
        yield "0.", "SpatialReflectionPadding 40 40 40 40", None
    for place, layer, stage, k in (
        (first, wide, "head", 0),
        (first + 3, down, "head", 3),
        (first + 6, down, "head", 6),
        (first + 14, doubling, "upsample", 0),
        (first + 17, doubling, "upsample", 3),
    ):
        yield f"{place}.", layer, f"{stage}.{k}"
        yield f"{place + 1}.", norm, f"{stage}.{k + 1}"
        yield f"{place + 2}.", "ReLU", None
    for i in range(5):
        block, branch = f"{first + 9 + i}.", f"{first + 9 + i}.0.0."
        yield from ((block, "Sequential", None), (f"{block}0.", "ConcatTable", None))
        yield from ((branch, "Sequential", None), (f"{branch}2.", "ReLU", None))
        for k in (1, 2):
            yield f"{branch}{3 * k - 3}.", kept, f"body.{i}.conv{k}"
            yield f"{branch}{3 * k - 2}.", norm, f"body.{i}.norm{k}"
        yield from ((f"{block}0.1.", skip, None), (f"{block}1.", "CAddTable", None))
    yield f"{first + 20}.", wide, "tail"
    for k, layer in enumerate(("Tanh", "MulConstant 150", "TotalVariation"), first + 21):
        yield f"{k}.", layer, None


def _style_layout(norm, padding, marker):
    layers = list(_style_layers(norm, padding))
    return Layout(
        marker=marker,
        names=tuple((re.escape(place[:-1]), name) for place, _, name in layers if name),
        fixed={"preprocessing": "vgg", **{f"{place}layer": layer for place, layer, _ in layers}},
        padding=padding,
    )


DIV2K_MEAN = np.array([0.4488, 0.4371, 0.4040])
IDENTITY = np.eye(3).reshape(3, 3, 1, 1)

LAYOUTS = {
    "DPEDResNet": (
        Layout(  # aiff22/DPED, models_orig
            marker="generator/W1", names=tuple(_dped_names()), axes=(3, 2, 0, 1)
        ),
    ),
    "EDSR": (
        Layout(  # sanghyun-son/EDSR-PyTorch
            marker="head.0.weight",
            names=(
                (r"head\.0", "head"),
                (r"body\.(\d+)\.body\.0", r"body.\1.conv1"),
                (r"body\.(\d+)\.body\.2", r"body.\1.conv2"),
                (r"body\.(\d+)", r"body.\1"),
                (r"tail\.0\.0", "upsample.0"),
                (r"tail\.0\.2", "upsample.1"),
                (r"tail\.0\.4", "upsample.2"),
                (r"tail\.1", "tail"),
            ),
            fixed={
                "sub_mean.weight": IDENTITY,
                "sub_mean.bias": -255 * DIV2K_MEAN,
                "add_mean.weight": IDENTITY,
                "add_mean.bias": 255 * DIV2K_MEAN,
            },
        ),
        Layout(  # BasicSR
            marker="conv_after_body.weight",
            names=(
                (r"conv_first", "head"),
                (r"body\.(\d+)\.conv([12])", r"body.\1.conv\2"),
                (r"conv_after_body", "body.{blocks}"),
                (r"upsample\.0", "upsample.0"),
                (r"upsample\.2", "upsample.1"),
                (r"upsample\.4", "upsample.2"),
                (r"conv_last", "tail"),
            ),
            published=True,
        ),
    ),
    "MSRResNet": (
        Layout(  # BasicSR's first releases
            marker="recon_trunk.0.conv1.weight",
            names=(
                (r"conv_first", "head"),
                (r"recon_trunk\.(\d+)\.conv([12])", r"body.\1.conv\2"),
                (r"upconv1", "upsample.0"),
                (r"upconv2", "upsample.1"),
                (r"HRconv", "tail.0"),
                (r"conv_last", "tail.2"),
            ),
        ),
        Layout(  # BasicSR
            marker="upconv1.weight",
            names=(
                (r"conv_first", "head"),
                (r"body\.(\d+)\.conv([12])", r"body.\1.conv\2"),
                (r"upconv1", "upsample.0"),
                (r"upconv2", "upsample.1"),
                (r"conv_hr", "tail.0"),
                (r"conv_last", "tail.2"),
            ),
            published=True,
        ),
        Layout(  # mmagic
            marker="trunk_net.0.conv1.weight",
            names=(
                (r"conv_first", "head"),
                (r"trunk_net\.(\d+)\.conv([12])", r"body.\1.conv\2"),
                (r"upsample1\.upsample_conv", "upsample.0"),
                (r"upsample2\.upsample_conv", "upsample.1"),
                (r"conv_hr", "tail.0"),
                (r"conv_last", "tail.2"),
            ),
        ),
    ),
    "RRDBNet": (
        Layout(  # xinntao/ESRGAN today: RRDB_ESRGAN_x4.pth, RRDB_PSNR_x4.pth
            marker="trunk_conv.weight",
            names=(
                (r"conv_first", "head"),
                (r"RRDB_trunk\.(\d+)\.RDB([1-3])\.conv([1-5])", RRDB_CONV),
                (r"RRDB_trunk\.(\d+)\.RDB([1-3])\.conv1x1", r"body.\1.rdb\2.conv1x1"),
                (r"trunk_conv", "body.{blocks}"),
                (r"upconv1", "upsample.0"),
                (r"upconv2", "upsample.1"),
                (r"upconv3", "upsample.2"),
                (r"upconv4", "upsample.3"),
                (r"HRconv", "tail.0"),
                (r"conv_last", "tail.2"),
            ),
        ),
        Layout(  # the next with three doublings or four
            marker="conv_up3.weight",
            names=(
                (r"conv_first", "head"),
                (r"body\.(\d+)\.rdb([1-3])\.conv([1-5])", RRDB_CONV),
                (r"conv_body", "body.{blocks}"),
                (r"conv_up1", "upsample.0"),
                (r"conv_up2", "upsample.1"),
                (r"conv_up3", "upsample.2"),
                (r"conv_up4", "upsample.3"),
                (r"conv_hr", "tail.0"),
                (r"conv_last", "tail.2"),
            ),
        ),
        Layout(  # BasicSR and Real-ESRGAN
            marker="conv_body.weight",
            names=(
                (r"conv_first", "head"),
                (r"body\.(\d+)\.rdb([1-3])\.conv([1-5])", RRDB_CONV),
                (r"conv_body", "body.{blocks}"),
                (r"conv_up1", "upsample.0"),
                (r"conv_up2", "upsample.1"),
                (r"conv_hr", "tail.0"),
                (r"conv_last", "tail.2"),
            ),
            published=True,
        ),
    ),
    "StyleNet": (  # jcjohnson/fast-neural-style: eccv16, instance_norm
        _style_layout(BATCH_NORM, "reflect_start", marker="2.running_mean"),
        _style_layout(BATCH_NORM, "zero", marker="1.running_mean"),
        _style_layout(INSTANCE_NORM, "reflect_start", marker="2.weight"),
        _style_layout(INSTANCE_NORM, "zero", marker="0.weight"),
    ),
}

COUNTED: dict[str, tuple[Callable[[Mapping], Layout], ...]] = {
    "RRDBNet": (_old_rrdb_layout, _ncnn_rrdb_layout),
    "SRResNet": (_srgan_layout,),
    "SRVGGNetCompact": (_srvgg_of, _ncnn_srvgg_layout),
}
"""Layouts whose names depend on how many layers there are: made for weights by their keys."""


def layouts_for(net_name: str, state: Mapping) -> tuple[Layout, ...]:
    """List the layouts of a class of nets, with as many layers as these weights are of."""
    return (*LAYOUTS.get(net_name, ()), *(make(state) for make in COUNTED.get(net_name, ())))


def published_layouts(net_name: str, names: Collection[str]) -> tuple[Layout, ...]:
    """List the layouts in which nets with these own names for their weights are exported."""
    blocks = _last(names, r"body\.(\d+)\..*")
    if net_name == "SRVGGNetCompact":
        return (_srvgg_layout((blocks + 1) // 2),)
    if net_name == "SRResNet":
        return (srgan_layout(PUBLISHED),)
    return tuple(one for one in LAYOUTS.get(net_name, ()) if one.published)
