"""The training step of style transfer, and what is scored of it."""

from __future__ import annotations

from collections import Counter

import numpy as np

from gluon_enhance.framework import mx
from gluon_enhance.imaging.arrays import from_nchw, to_dtype, to_nchw
from gluon_enhance.losses.perceptual import gram_matrix
from gluon_enhance.training.steps import SupervisedStep
from gluon_enhance.training.validation import PICTURES, same_size


class StyleStep(SupervisedStep):
    """Descend content, style and variation; the first two share one pass through a network.

    Parameters
    ----------
    net : HybridBlock
    style : NDArray of shape (1, 3, H, W)
        RGB in [0, 1], the picture whose style is learned.
    losses : dict of str to gluon.loss.Loss
        ``content``, of two maps; ``style``, of a map and a Gram matrix, summed over the layers of
        style; ``variation``, of an image.
    content_of, features : HybridBlock
        Give the map of the content's layer, and those of all layers;
        `gluon_enhance.losses.VGGFeatures`.
    style_layers : sequence of str
    trainer : gluon.Trainer
    devices : Devices
    """

    def __init__(self, net, style, losses, content_of, features, style_layers, trainer, devices):
        super().__init__(net, losses, trainer, devices)
        self._content_of = content_of
        self._features = features
        self._layers = style_layers
        self._grams = {ctx: self._grams_of(style.as_in_context(ctx)) for ctx in devices.contexts}

    def _maps(self, images):
        return dict(zip(self._features.layers, self._features(images)))

    def _grams_of(self, style):
        maps = self._maps(style)
        return {name: gram_matrix(mx.nd, maps[name]) for name in self._layers}

    def _terms(self, photos):
        """Return the losses (N,) of photos (N, 3, H, W) by name, and what the net made of them."""
        with mx.autograd.pause():
            (content,) = self._content_of(photos)
        output = self.net(photos)
        maps, grams = self._maps(output), self._grams[photos.context]
        terms = {
            "content": self.losses["content"](maps[self._content_of.layers[0]], content),
            "style": sum(self.losses["style"](maps[name], grams[name]) for name in self._layers),
            "variation": self.losses["variation"](output),
        }
        return terms, output.detach()

    def validate(self, crops, picture):
        """Return the mean losses of held-out crops; and crops, outputs and the style picture."""
        sums, rows = Counter(), []
        for crop in crops:
            photo = mx.nd.array(to_nchw(crop), ctx=self.devices.contexts[0])
            terms, output = self._terms(photo)
            sums.update({f"held_out_{name}": float(x.asscalar()) for name, x in terms.items()})
            output = to_dtype(from_nchw(output.asnumpy()), np.uint8)
            rows.append({"photo": crop, "output": output, "style, stretched": picture})
        return {n: total / len(crops) for n, total in sums.items()}, same_size(rows[:PICTURES])
