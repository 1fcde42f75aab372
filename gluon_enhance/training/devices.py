"""Where a step is computed: one context or several, on one machine or many."""

from __future__ import annotations

from gluon_enhance.framework import context, mx


class Devices:
    """Share batches among contexts, and sum their gradients.

    Parameters
    ----------
    names : str
        Contexts, such as ``cpu`` or ``gpu(0),gpu(1)``.
    batch_size : int
        Samples of a step, on all contexts together.

    Raises
    ------
    EngineError
        If a context is not there.
    ValueError
        If the batch cannot be shared equally.
    """

    def __init__(self, names: str, batch_size: int):
        self.contexts = [context(name) for name in names.split(",")]
        self.batch_size = batch_size
        if batch_size % len(self.contexts):
            raise ValueError(
                f"batch_size is {batch_size}; it must be a multiple of the "
                f"{len(self.contexts)} contexts in {names!r}"
            )

    def split(self, batch) -> list[tuple]:
        """Put an equal part of the arrays (N, ...) on every context."""
        shared = (mx.gluon.utils.split_and_load(array, self.contexts) for array in batch)
        return list(zip(*shared))

    def trainer(self, nets, learning_rate: float, beta1: float = 0.9, beta2: float = 0.999):
        """Make an Adam trainer of all parameters of some nets."""
        parameters = mx.gluon.ParameterDict()
        for net in nets:
            parameters.update(net.collect_params())
        options = {"learning_rate": learning_rate, "beta1": beta1, "beta2": beta2}
        return mx.gluon.Trainer(parameters, "adam", options, update_on_kvstore=False)

    def update(self, name: str, trainer) -> None:
        """Sum a trainer's gradients over the contexts and let it take its step."""
        trainer.step(self.batch_size)
