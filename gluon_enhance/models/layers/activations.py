"""Activations that MXNet has, computed faster."""

from gluon_enhance.forms import FAST, PLAIN
from gluon_enhance.framework import mx

nn = mx.gluon.nn


def relu(F, x):
    """Rectify: `F.relu` computes the same, but in a loop of MXNet's own, in plain layout."""
    return F.Activation(x, act_type="relu")


def leaky_relu(F, x, slope):
    """Rectify, but for a share of what is negative."""
    return F.LeakyReLU(x, act_type="leaky", slope=slope)


class PReLU(mx.gluon.nn.PReLU):
    """Gluon's PReLU, for known channels; MXNet's operator takes longer than a convolution.

    A fast one is of operators that oneDNN computes.

    Attributes
    ----------
    form : str
        As in `gluon_enhance.forms`: all but a fast one is MXNet's own operator.

    Parameters
    ----------
    channels : int
    shared : bool
        Whether all channels have one slope.

    Inputs:
        - **data**: (N, channels, H, W).

    Outputs:
        - **out**: (N, channels, H, W).
    """

    def __init__(self, channels, shared=False, **kwargs):
        super().__init__(in_channels=1 if shared else channels, **kwargs)
        self.form = PLAIN
        self._channels = channels
        self._repeats = channels if shared else 1

    def hybrid_forward(self, F, x, alpha):
        if self.form != FAST:
            return super().hybrid_forward(F, x, alpha)
        # alpha x + (1 - alpha) relu(x): oneDNN scales channels and adds, but does not subtract.
        return F.elemwise_add(self._scale(F, x, alpha), self._scale(F, relu(F, x), 1 - alpha))

    def _scale(self, F, x, factors):
        kernels = F.tile(F.reshape(factors, (-1, 1, 1, 1)), reps=(self._repeats, 1, 1, 1))
        depthwise = {"num_filter": self._channels, "num_group": self._channels, "no_bias": True}
        return F.Convolution(x, kernels, kernel=(1, 1), **depthwise)
