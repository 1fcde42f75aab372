"""Cycle consistency: an image that went to the other domain and back equals itself.

References
----------
.. [1] Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
   Networks", ICCV 2017. https://arxiv.org/abs/1703.10593
"""

from __future__ import annotations

from gluon_enhance.framework import mx
from gluon_enhance.losses.conventions import weighted

REDUCTIONS = ("sum", "mean")


class CycleLoss(mx.gluon.loss.Loss):
    """Magnitude of the difference between an image and its reconstruction, for one direction.

    The whole loss is the one for F(G(x)) and x plus the one for G(F(y)) and y.

    Parameters
    ----------
    reduction : {'sum', 'mean'}
        Over a sample's pixels. The unpaired DPED sums, over the batch too, and has weight 0.01:
        with patches of 100x100 pixels the sum is 30,000 means. CycleGAN [1]_ takes the mean, with
        weight 10.
    weight : float or None
    batch_axis : int

    Inputs:
        - **pred**: (N, 3, H, W), the reconstruction.
        - **label**: (N, 3, H, W), the image.
        - **sample_weight**: as of `gluon_enhance.losses.L1Loss`. Optional.

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> black, white = mx.nd.zeros((2, 3, 4, 4)), mx.nd.ones((2, 3, 4, 4))
    >>> CycleLoss("mean")(black, white).asnumpy()
    array([1., 1.], dtype=float32)
    """

    def __init__(self, reduction="sum", weight=1.0, batch_axis=0, **kwargs):
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction is {reduction!r}; give one of {', '.join(REDUCTIONS)}")
        super().__init__(weight, batch_axis, **kwargs)
        self._reduction = reduction

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        reduce = F.sum if self._reduction == "sum" else F.mean
        difference = F.abs(F.elemwise_sub(pred, label))
        if sample_weight is not None:
            difference = F.broadcast_mul(difference, sample_weight)
        return weighted(F, reduce(difference, axis=self._batch_axis, exclude=True), self._weight)
