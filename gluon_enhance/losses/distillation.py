"""Learning from a teacher and from the truth at once.

References
----------
.. [1] Hinton et al., "Distilling the Knowledge in a Neural Network", 2015.
   https://arxiv.org/abs/1503.02531
"""

from gluon_enhance.framework import mx
from gluon_enhance.losses.conventions import batch_first, by_layer, weighted


class DistillationLoss(mx.gluon.loss.Loss):
    """Distance of an output from a teacher's output and from the truth, mixed [1]_.

    Parameters
    ----------
    distance : gluon.loss.Loss
        Of two images, or of two maps of theirs.
    truth_weight : float
        In [0, 1]: what the truth counts; the rest is the teacher's.
    features : HybridBlock, optional
        Gives a list of maps of an image, such as `gluon_enhance.losses.VGGFeatures`; default: the
        images themselves are compared.
    layer_weights : sequence or mapping of float, optional
        One for each map, in their order or by the names of the features' layers; default 1.
    weight : float or None
    batch_axis : int

    Inputs:
        - **pred**, **taught**, **truth**: (N, 3, H, W) RGB in [0, 1].
        - **sample_weight**: (N,) or (N, 1, 1, 1). Optional.

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> from gluon_enhance.losses import L1Loss
    >>> black, white = mx.nd.zeros((2, 3, 4, 4)), mx.nd.ones((2, 3, 4, 4))
    >>> DistillationLoss(L1Loss(), truth_weight=0.25)(black, black, white).asnumpy()
    array([0.25, 0.25], dtype=float32)
    """

    def __init__(
        self,
        distance,
        truth_weight,
        features=None,
        layer_weights=None,
        weight=1.0,
        batch_axis=0,
        **kwargs,
    ):
        super().__init__(weight, batch_axis, **kwargs)
        self.distance = distance
        self.features = features
        self._truth_weight = truth_weight
        self._layer_weights = by_layer(layer_weights, features)

    def hybrid_forward(self, F, pred, taught, truth, sample_weight=None):
        weights = 1 - self._truth_weight, self._truth_weight
        # What counts nothing is not computed.
        targets = [(share, image) for share, image in zip(weights, (taught, truth)) if share]
        of_pred = self._maps(F, pred)
        total = sum(
            share * weight * self.distance(*maps)
            for share, image in targets
            for weight, *maps in zip(self._layer_weights, of_pred, self._maps(F, image))
        )
        return weighted(F, total, self._weight, sample_weight)

    def _maps(self, F, image):
        image = batch_first(F, image, self._batch_axis)
        return self.features(image) if self.features else [image]
