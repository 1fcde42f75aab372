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

from gluon_enhance.framework import constant, mx, refuse_numpy_mode
from gluon_enhance.weights.vgg import load_vgg

CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Depth -> convolutions in each of the five blocks."""

CHANNELS = (64, 128, 256, 512, 512)
POOLING = {"floor": "valid", "ceil": "full"}
"""Rounding of a pooled map's size -> MXNet's name for it."""

# ImageNet's, RGB in [0, 1]: the input of the weights of torchvision and the Gluon zoo.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

LOOKED_AT = 4
"""Calls of a block whose images' values are looked at: outputs and truths of two training steps."""
LARGEST = 8
"""Value beyond all in [0, 1]. A net that is not trained yet may give such, but below 0 too."""


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


class VGGFeatures(mx.gluon.HybridBlock):
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
    pooling : {'floor', 'ceil'}
        How the size of a pooled map is rounded: as all but TensorFlow do, or as its 'SAME' does.

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

    def __init__(self, depth, layers, pooling="floor", **kwargs):
        self.all_layers = layer_names(depth)
        self.layers = (layers,) if isinstance(layers, str) else tuple(layers)
        _check(depth, self.layers, self.all_layers, pooling)
        super().__init__(**kwargs)
        self.depth = depth
        self._calls = 0
        self._pooling = POOLING[pooling]
        last = max(self.all_layers.index(name) for name in self.layers)
        self._steps = self.all_layers[: last + 1]
        with self.name_scope():
            self.mean = constant(self.params, "mean", _per_channel(MEAN))
            self.std = constant(self.params, "std", _per_channel(STD))
            in_channels = 3
            for name in self._steps:
                if name.startswith("conv"):
                    channels = CHANNELS[int(name[4]) - 1]
                    conv = mx.gluon.nn.Conv2D(channels, 3, padding=1, in_channels=in_channels)
                    setattr(self, name, conv)
                    in_channels = channels
        self.collect_params().setattr("grad_req", "null")

    def forward(self, x):
        self.check(x)
        return super().forward(x)

    def check(self, images):
        """Refuse images that VGG is not for; of symbols nothing is known.

        Parameters
        ----------
        images : NDArray or Symbol

        Raises
        ------
        ValueError
            As told above.
        EngineError
            If ``npx.set_np()`` is in force.
        """
        if self._calls < LOOKED_AT:
            refuse_numpy_mode()
        if isinstance(images, mx.sym.Symbol):
            return
        _check_kind(images)
        if self._calls < LOOKED_AT:
            self._calls += 1
            _check_values(images)

    def hybrid_forward(self, F, x, mean, std):
        x = F.broadcast_div(F.broadcast_sub(x, mean), std)
        maps = {}
        for name in self._steps:
            if name.startswith("conv"):
                x = getattr(self, name)(x)
            elif name.startswith("relu"):
                x = F.Activation(x, act_type="relu")
            else:
                x = F.Pooling(
                    x,
                    kernel=(2, 2),
                    stride=(2, 2),
                    pool_type="max",
                    pooling_convention=self._pooling,
                )
            maps[name] = x
        return [maps[name] for name in self.layers]


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


def _check_kind(x):
    """Refuse what is no batch of RGB images, such as gray ones, which the mean would make three."""
    if x.ndim != 4 or x.shape[1] != 3:
        raise ValueError(
            f"images have shape {x.shape}; VGG takes RGB, (N, 3, H, W): repeat a gray image's "
            "channel three times"
        )
    if np.dtype(x.dtype).kind != "f":
        raise ValueError(
            f"images are {np.dtype(x.dtype).name}; VGG takes floats in [0, 1]: divide 8 bits by 255"
        )


def _check_values(x):
    with mx.autograd.pause():
        low, high = x.min().asscalar(), x.max().asscalar()
    if low >= 0 and high > LARGEST:
        raise ValueError(
            f"images have values from {low:g} to {high:g}; VGG takes RGB in [0, 1]: divide those "
            "up to 255 by 255"
        )


def _per_channel(values):
    return np.reshape(np.asarray(values, np.float32), (1, 3, 1, 1))


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
    pooling : {'floor', 'ceil'}
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
