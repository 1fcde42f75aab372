"""Normalizations that DPED, WESPE and the style nets choose from by name.

References
----------
.. [1] Ulyanov et al., "Instance Normalization: The Missing Ingredient for Fast Stylization", 2016.
   https://arxiv.org/abs/1607.08022
"""

from gluon_enhance.framework import mx

nn = mx.gluon.nn

AXES = {"instance": (2,), "batch_stats": (0, 2), "layer": (1, 2)}
"""Over which axes of (N, C, H) each norm averages the means of the rows of (N, C, H, W)."""

NORMS = (*AXES, "batch")


class MomentNorm(mx.gluon.HybridBlock):
    """Subtract the mean and divide by the deviation of the batch at hand, then scale and shift.

    The variance is the biased one, of centered values, and sums run row by row: MXNet's own
    InstanceNorm and LayerNorm add a photo's every pixel in float32, and drift.

    Attributes
    ----------
    exporting : bool
        Set while a graph is exported: the norm is then traced as MXNet's InstanceNorm, which
        becomes the one ONNX node of that name; engines compute it well and tiling can find it.

    Parameters
    ----------
    norm : {'instance', 'batch_stats', 'layer'}
        As in `make_norm`.
    channels : int
        Scales and shifts are per channel.
    epsilon : float
        Added to the variance.

    Inputs:
        - **data**: (N, channels, H, W).

    Outputs:
        - **out**: (N, channels, H, W).
    """

    def __init__(self, norm, channels, epsilon, **kwargs):
        super().__init__(**kwargs)
        self.exporting = False
        self._norm = norm
        self._epsilon = epsilon
        with self.name_scope():
            self.gamma = self.params.get("gamma", shape=(channels,), init="ones")
            self.beta = self.params.get("beta", shape=(channels,), init="zeros")

    def hybrid_forward(self, F, x, gamma, beta):
        if self.exporting:
            return getattr(self, f"_export_{self._norm}")(F, x, gamma, beta)
        # A slice of all is a copy in plain layout. What a convolution gives is in oneDNN's blocked
        # one, which every operator here would convert for itself: a third of the speed.
        x = F.slice_axis(x, axis=0, begin=0, end=None)
        centered = F.broadcast_sub(x, self._mean(F, x))
        variance = self._mean(F, F.square(centered))
        gamma, beta = F.reshape(gamma, (1, -1, 1, 1)), F.reshape(beta, (1, -1, 1, 1))
        gain = F.broadcast_mul(gamma, F.rsqrt(variance + self._epsilon))
        return F.broadcast_add(F.broadcast_mul(centered, gain), beta)

    def _mean(self, F, x):
        # A product with 1/W adds rows faster than F.mean does.
        row = F.slice(x, begin=(0, 0, 0), end=(1, 1, 1))
        ones = F.ones_like(F.reshape(row, (-1,)))
        rows = F.dot(x, F.broadcast_div(ones, F.sum(ones)))
        return F.expand_dims(F.mean(rows, axis=AXES[self._norm], keepdims=True), axis=3)

    def _export_instance(self, F, x, gamma, beta):
        return F.InstanceNorm(x, gamma, beta, eps=self._epsilon)

    def _export_batch_stats(self, F, x, gamma, beta):
        turned = F.transpose(x, (1, 0, 2, 3))
        image = F.expand_dims(F.reshape(turned, (0, -1)), axis=0)  # one, of N * H * W pixels
        result = F.InstanceNorm(image, gamma, beta, eps=self._epsilon)
        return F.transpose(F.reshape_like(result, turned), (1, 0, 2, 3))

    def _export_layer(self, F, x, gamma, beta):
        plane = F.reshape(x, (0, 1, -1))  # one channel, of C * H * W pixels
        one = F.ones((1,))
        result = F.reshape_like(F.InstanceNorm(plane, one, 0 * one, eps=self._epsilon), x)
        result = F.broadcast_mul(result, F.reshape(gamma, (1, -1, 1, 1)))
        return F.broadcast_add(result, F.reshape(beta, (1, -1, 1, 1)))


def make_norm(norm, channels, epsilon):
    """Build a normalization by name.

    Parameters
    ----------
    norm : {'instance', 'batch_stats', 'layer', 'batch'}
        Statistics over each channel of each image; over each channel of the whole batch, in
        training and use alike; over each whole image; or Gluon's BatchNorm, which in use has
        running averages.
    channels : int
    epsilon : float
        Added to the variance.

    Returns
    -------
    HybridBlock

    Raises
    ------
    ValueError
        If there is no such norm.
    """
    if norm not in NORMS:
        raise ValueError(f"norm is {norm!r}; choose one of {', '.join(NORMS)}")
    if norm == "batch":
        return nn.BatchNorm(epsilon=epsilon, in_channels=channels)
    return MomentNorm(norm, channels, epsilon)
