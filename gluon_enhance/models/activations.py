"""Activations that MXNet has, computed faster."""

from gluon_enhance.framework import mx

nn = mx.gluon.nn


class PReLU(nn.PReLU):
    """Gluon's PReLU, of operators that oneDNN computes: MXNet's takes longer than a convolution.

    Attributes
    ----------
    exporting : bool
        Set while a graph is exported: it is then MXNet's own operator.

    Parameters
    ----------
    in_channels : int
        Slopes: one for each channel, or 1 that all share.

    Inputs:
        - **data**: (N, C, ...); (N, C, H, W) if the slopes are several.

    Outputs:
        - **out**: of the same shape.
    """

    def __init__(self, in_channels=1, **kwargs):
        super().__init__(in_channels=in_channels, **kwargs)
        self.exporting = False
        self._slopes = in_channels

    def hybrid_forward(self, F, x, alpha):
        if self.exporting:
            return super().hybrid_forward(F, x, alpha)
        positive = F.relu(x)
        negative = x - positive
        if self._slopes == 1:
            column = F.dot(F.reshape(negative, (-1, 1)), F.reshape(alpha, (1, 1)))
            return positive + F.reshape_like(column, negative)
        depthwise = {"num_filter": self._slopes, "num_group": self._slopes, "no_bias": True}
        kernels = F.reshape(alpha, (-1, 1, 1, 1))
        return positive + F.Convolution(negative, kernels, kernel=(1, 1), **depthwise)
