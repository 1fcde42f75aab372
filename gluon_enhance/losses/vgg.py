"""VGG-16 and VGG-19 as a source of features for losses.

References
----------
.. [1] Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
   Recognition", ICLR 2015. https://arxiv.org/abs/1409.1556
"""

from __future__ import annotations

import numpy as np

from gluon_enhance.framework import constant, mx

CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Depth -> convolutions in each of the five blocks."""

CHANNELS = (64, 128, 256, 512, 512)
POOLING = {"floor": "valid", "ceil": "full"}
"""Rounding of a pooled map's size -> MXNet's name for it."""

# ImageNet's, RGB in [0, 1]: the input of the weights of torchvision and the Gluon zoo.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


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
        If the depth, a layer or the pooling does not exist.

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


def _per_channel(values):
    return np.reshape(np.asarray(values, np.float32), (1, 3, 1, 1))
