"""Moving average of a net's parameters, which scores higher than the last ones."""

from __future__ import annotations

from contextlib import contextmanager

from gluon_enhance.framework import mx
from gluon_enhance.training.net_arrays import AT_ONCE, net_arrays


class MovingAverage:
    """Exponential moving average of a net's parameters.

    Parameters
    ----------
    net : HybridBlock
        Initialized.
    decay : float
        Final decay. It grows up to this, so that the start is soon forgotten.

    Attributes
    ----------
    decay : float
    arrays : dict of str to NDArray
        The averages, by structural name.
    count : int
        Updates so far.
    """

    def __init__(self, net, decay: float = 0.999):
        self._net = net
        self.decay = decay
        self.restart()

    def restart(self) -> None:
        """Begin with the net's parameters as they are."""
        self.count = 0
        self.arrays = self.net_arrays()

    def update(self) -> None:
        """Take the net's parameters in, after an update of them."""
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        pairs = [(self.arrays[name], array) for name, array in net_arrays(self._net).items()]
        for k in range(0, len(pairs), AT_ONCE):
            _approach(pairs[k : k + AT_ONCE], 1 - decay)

    @contextmanager
    def applied(self):
        """Have the net hold the averages for a while."""
        current = self.net_arrays()
        self._set(self.arrays)
        try:
            yield
        finally:
            self._set(current)

    def net_arrays(self) -> dict:
        """Copy the net's parameters as they are, by structural name."""
        return {name: array.copy() for name, array in net_arrays(self._net).items()}

    def _set(self, arrays):
        for name, parameter in self._net._collect_params_with_prefix().items():
            parameter.set_data(arrays[name])


def _approach(pairs, share):
    """Move the first array of each pair towards the second, by a share of the way.

    That is SGD with the negative second array as gradient and a weight decay of 1: one operator
    for many arrays, where plain arithmetic would take three for each.
    """
    mx.nd.multi_sgd_update(
        *(array for pair in pairs for array in pair),
        out=[average for average, _ in pairs],
        num_weights=len(pairs),
        lrs=[share] * len(pairs),
        wds=[1] * len(pairs),
        rescale_grad=-1,
    )
