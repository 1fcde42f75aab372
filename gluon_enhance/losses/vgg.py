"""VGG-16 and VGG-19 as a source of features for losses.

References
----------
.. [1] Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
   Recognition", ICLR 2015. https://arxiv.org/abs/1409.1556
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Optional

import numpy as np

from gluon_enhance.framework import constant, mx
from gluon_enhance.losses.imagenet import ImageNetFeatures, Window
from gluon_enhance.weights.vgg import load_vgg

CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Depth -> convolutions in each of the five blocks."""

CHANNELS = (64, 128, 256, 512, 512)
POOLING = {
    "floor": Window(2, 2),
    "ceil": Window(2, 2, ceil=True),
    "l2": Window(3, 2, padding=1),
}
HANN = np.outer((1, 2, 1), (1, 2, 1)) / 16
"""What the squares of 3x3 values are weighed by in the pooling of DISTS."""


def layer_names(depth: int) -> tuple[str, ...]:
    """List the layers, such as ``conv1_1, relu1_1, ..., pool5``.

    A layer's place in the list is its index in ``features`` of torchvision and the Gluon zoo.

    Raises
    ------
    ValueError
        If the depth is not 16 or 19.
    """
    if depth not in CONVOLUTIONS:
        raise ValueError(f"depth is {depth!r}; there are VGG-16 and VGG-19")
    names = []
    for block, count in enumerate(CONVOLUTIONS[depth], 1):
        for k in range(1, count + 1):
            names += [f"conv{block}_{k}", f"relu{block}_{k}"]
        names.append(f"pool{block}")
    return tuple(names)


class VGGFeatures(ImageNetFeatures):
    """The maps of chosen layers of VGG [1]_, without batch normalization.

    Load it with `gluon_enhance.weights.vgg.load_vgg`. The input's convention is part of the
    weights: it is kept in `mean` and `std`, so the caller always gives RGB in [0, 1]. The weights
    are frozen: gradients reach the input, never them.

    Images of other shapes and dtypes are refused. So are those up to 255, in the first calls alone:
    to look at values takes the time of an operator, and waits for it.

    Parameters
    ----------
    depth : {16, 19}
    layers : sequence of str
        ``relu2_2`` is the map after the activation, ``conv2_2`` before it, ``pool2`` after the
        pooling. Layers behind the last of these are not built.
    pooling : {'floor', 'ceil', 'l2'}
        How the size of a pooled map is rounded: as all but TensorFlow do, or as its 'SAME' does.
        Of 'l2' a pooled value is not the largest of 2x2, but the root of the weighted mean square
        of 3x3, as in DISTS.

    Attributes
    ----------
    depth : int
    layers, all_layers : tuple of str
        The chosen layers, and all those of this depth.

    Inputs:
        - **data**: (N, 3, H, W) RGB in [0, 1].

    Outputs:
        - **out**: list of (N, C, h, w), one for each of `layers`, in their order.

    Raises
    ------
    ValueError
        If the depth, a layer or the pooling does not exist. When called, if images are not
        (N, 3, H, W), not floating, or up to 255.

    Examples
    --------
    >>> features = VGGFeatures(16, ["relu1_2", "relu2_2"])
    >>> features.initialize()
    >>> [maps.shape for maps in features(mx.nd.ones((1, 3, 32, 32)))]
    [(1, 64, 32, 32), (1, 128, 16, 16)]
    """

    net = "VGG"

    def __init__(self, depth, layers, pooling="floor", **kwargs):
        self.all_layers = layer_names(depth)
        self.layers = (layers,) if isinstance(layers, str) else tuple(layers)
        _check(depth, self.layers, self.all_layers, pooling)
        super().__init__(**kwargs)
        self.depth = depth
        self._pooling = POOLING[pooling]
        last = max(self.all_layers.index(name) for name in self.layers)
        self._steps = self.all_layers[: last + 1]
        self.windows = tuple(self._windows_to(name) for name in self.layers)
        with self.name_scope():
            in_channels = 3
            for name in self._steps:
                if name.startswith("conv"):
                    channels = CHANNELS[int(name[4]) - 1]
                    conv = mx.gluon.nn.Conv2D(channels, 3, padding=1, in_channels=in_channels)
                    setattr(self, name, conv)
                    in_channels = channels
                elif name.startswith("pool") and pooling == "l2":
                    kernel = np.tile(HANN.astype(np.float32), (in_channels, 1, 1, 1))
                    setattr(self, name, constant(self.params, name, kernel))
        self.collect_params().setattr("grad_req", "null")

    def _windows_to(self, layer):
        names = self._steps[: self._steps.index(layer) + 1]
        kinds = {"conv": Window(3, padding=1), "pool": self._pooling}
        return tuple(kinds[name[:4]] for name in names if name[:4] in kinds)

    def hybrid_forward(self, F, x, mean, std, **kernels):
        x = F.broadcast_div(F.broadcast_sub(x, mean), std)
        maps = {}
        for name in self._steps:
            if name.startswith("conv"):
                x = getattr(self, name)(x)
            elif name.startswith("relu"):
                x = F.Activation(x, act_type="relu")
            elif name in kernels:
                x = _root_mean_square(F, x, kernels[name], CHANNELS[int(name[4]) - 1])
            else:
                rounding = "full" if self._pooling.ceil else "valid"
                options = {"pool_type": "max", "pooling_convention": rounding}
                x = F.Pooling(x, kernel=(2, 2), stride=(2, 2), **options)
            maps[name] = x
        return [maps[name] for name in self.layers]


def _root_mean_square(F, x, kernel, channels):
    options = {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 1), "no_bias": True}
    squares = F.square(x)
    means = F.Convolution(squares, kernel, num_filter=channels, num_group=channels, **options)
    return F.sqrt(means + 1e-12)  # as in the authors' code; the gradient at 0 is finite so


def _check(depth, layers, all_layers, pooling):
    if pooling not in POOLING:
        raise ValueError(f"pooling is {pooling!r}; give one of {', '.join(POOLING)}")
    if not layers:
        raise ValueError(f"layers is empty; VGG-{depth} has {', '.join(all_layers)}")
    for name in layers:
        if name not in all_layers:
            raise ValueError(
                f"VGG-{depth} has no layer {name!r}; its layers are {', '.join(all_layers)}"
            )


def vgg_features(
    depth: int,
    layers: str | Sequence[str],
    weights: Optional[str | os.PathLike] = None,
    *,
    pooling: str = "floor",
    convention: Optional[str] = None,
    ctx: Optional[mx.Context | Sequence[mx.Context]] = None,
    root: Optional[str | os.PathLike] = None,
) -> VGGFeatures:
    """Build VGG's features with their weights, compiled, for `FeatureLoss` and the like.

    Parameters
    ----------
    depth : {16, 19}
    layers : sequence or mapping of str
        As of `VGGFeatures`. A mapping's names are taken, so that the `layer_weights` of a loss can
        be given.
    weights : path, optional
        ``.pth`` of torchvision, ``.params`` of the Gluon zoo, ``.h5`` of Keras, ``.npz``, or the
        name of an official file. Default, as in the training scripts: torchvision's for this
        depth, found in ``GLUON_ENHANCE_WEIGHTS`` or the cache, or else downloaded.
    pooling : {'floor', 'ceil', 'l2'}
        As of `VGGFeatures`.
    convention : {'torch', 'caffe', 'none'}, optional
        What the weights were trained on; default: what files of this kind are.
    ctx : mxnet.Context or list, optional
        Where to put the weights; default the CPU.
    root : path, optional
        Cache for downloaded weights; default ``MXNET_HOME/models``, else ``~/.mxnet/models``.

    Returns
    -------
    VGGFeatures
        Hybridized, and frozen.

    Raises
    ------
    ValueError
        If the depth, a layer, the pooling or the convention does not exist.
    WeightsError
        If the weights cannot be had or read, or are not of this depth.

    Examples
    --------
    >>> weights = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1, "conv4_4": 1, "conv5_4": 1}
    >>> features = vgg_features(19, weights)                              # doctest: +SKIP
    >>> loss = FeatureLoss(features, "l1", weights)                       # doctest: +SKIP
    """
    features = VGGFeatures(depth, layers, pooling)
    load_vgg(features, weights, convention=convention, ctx=ctx, root=root)
    features.hybridize(static_alloc=True)
    return features
