"""Cycle consistency: an image that went to the other domain and back equals itself.

References
----------
.. [1] Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
   Networks", ICCV 2017. https://arxiv.org/abs/1703.10593
"""

from __future__ import annotations

from gluon_enhance.framework import mx

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

    Inputs:
        - **pred**: (N, 3, H, W), the reconstruction.
        - **label**: (N, 3, H, W), the image.

    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> black, white = mx.nd.zeros((2, 3, 4, 4)), mx.nd.ones((2, 3, 4, 4))
    >>> CycleLoss("mean")(black, white).asnumpy()
    array([1., 1.], dtype=float32)
    """

    def __init__(self, reduction="sum", weight=1.0, **kwargs):
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction is {reduction!r}; give one of {', '.join(REDUCTIONS)}")
        super().__init__(weight, batch_axis=0, **kwargs)
        self._reduction = reduction

    def hybrid_forward(self, F, pred, label):
        reduce = F.sum if self._reduction == "sum" else F.mean
        difference = F.abs(F.elemwise_sub(pred, label))
        return self._weight * reduce(difference, axis=0, exclude=True)
