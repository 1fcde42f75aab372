"""What gradients go through before a trainer takes its step, where an option asks for it."""

from __future__ import annotations

from typing import Callable

from gluon_enhance.framework import mx

AT_ONCE = 45
"""Arrays that MXNet's operators for many can take; more are no error but a crash."""


def before_update(config) -> Callable | None:
    """Make what is done to a trainer before its update.

    Parameters
    ----------
    config : TrainingConfig

    Returns
    -------
    callable or None
        Takes a trainer whose gradients are sums over the batch; returns whether it shall update.
        None if no option asks for anything.
    """
    decay = config.weight_decay if config.optimizer == "adamw" else 0.0
    # Gradients are sums over the batch here, the option's norm is of their mean.
    skips, limit = config.on_nan == "skip", config.clip_norm * config.batch_size
    if not (skips or limit or decay):
        return None

    def prepare(trainer):
        # The devices' gradients have been summed by now: each has a copy of the same arrays, which
        # all must change alike, and of which one tells whether they are finite.
        if skips and not are_finite([p.list_grad()[0] for p in learned(trainer)]):
            return False
        if limit:
            for copies in zip(*(p.list_grad() for p in learned(trainer))):  # all of one device
                mx.gluon.utils.clip_global_norm(list(copies), limit, check_isfinite=False)
        if decay:
            decay_weights(trainer, decay)
        return True

    return prepare


def decay_weights(trainer, decay: float) -> None:
    """Shrink weights by the learning rate times `decay`, apart from the gradients: AdamW [1]_.

    .. [1] Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
       https://arxiv.org/abs/1711.05101
    """
    for parameter in learned(trainer):
        for array in parameter.list_data():
            array *= 1 - trainer.learning_rate * decay


def are_finite(arrays) -> bool:
    """Tell whether all numbers of some arrays are finite."""
    parts = (arrays[k : k + AT_ONCE] for k in range(0, len(arrays), AT_ONCE))
    return all(mx.nd.multi_all_finite(*p, num_arrays=len(p)).asscalar() for p in parts)


def learned(trainer) -> list:
    """List the parameters that a trainer updates."""
    return [parameter for parameter in trainer._params if parameter.grad_req != "null"]


class GradientSum:
    """The gradients of a trainer, summed over the pieces of a batch.

    MXNet's own ``grad_req='add'`` would do, were it not that its Deconvolution crashes then.
    """

    def __init__(self, trainer):
        # One array for each parameter and device, in which every backward pass puts its gradient.
        self._gradients = [array for p in learned(trainer) for array in p.list_grad()]
        self._sums = None  # of the same shapes, after the first piece

    def add(self) -> None:
        """Add the gradients as they are."""
        if self._sums is None:
            self._sums = [array.copy() for array in self._gradients]
            return
        for total, array in zip(self._sums, self._gradients):
            total += array

    def put(self) -> None:
        """Have the parameters hold the sums."""
        for total, array in zip(self._sums, self._gradients):
            total.copyto(array)
