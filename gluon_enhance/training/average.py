"""Moving average of a net's parameters, which scores higher than the last ones."""

from __future__ import annotations

from contextlib import contextmanager


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
    arrays : dict of str to NDArray
        The averages, by structural name.
    count : int
        Updates so far.
    """

    def __init__(self, net, decay: float = 0.999):
        self._parameters = net._collect_params_with_prefix()
        self._decay = decay
        self.count = 0
        self.arrays = self._current()

    def update(self) -> None:
        """Take the net's parameters in, after an update of them."""
        self.count += 1
        decay = min(self._decay, (1 + self.count) / (10 + self.count))
        for name, average in self.arrays.items():
            average *= decay
            average += (1 - decay) * self._parameters[name].list_data()[0]

    @contextmanager
    def applied(self):
        """Have the net hold the averages for a while."""
        current = self._current()
        self._set(self.arrays)
        try:
            yield
        finally:
            self._set(current)

    def _current(self):
        return {name: p.list_data()[0].copy() for name, p in self._parameters.items()}

    def _set(self, arrays):
        for name, parameter in self._parameters.items():
            parameter.set_data(arrays[name])
