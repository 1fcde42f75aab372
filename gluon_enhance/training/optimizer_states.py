"""What Adam trainers remember, as arrays: Gluon would pickle it, and a pickle can run code."""

from __future__ import annotations

from collections.abc import Mapping

MOMENTS = ("mean", "variance")
"""Of the gradients, in MXNet's order."""


def moments(trainer, nets: Mapping) -> dict:
    """Return the moments of a trainer's parameters; none before its first update.

    Parameters
    ----------
    trainer : gluon.Trainer
        Of `Devices.trainer`. All its contexts take the same updates: the first one's are told.
    nets : mapping of str to HybridBlock
        Those that have its parameters.

    Returns
    -------
    dict of str to NDArray
        By net, structural name and moment, and in their order: ``critic.0.weight.mean``.
    """
    names = _names(trainer, nets)
    arrays = {
        f"{names[index]}.{moment}": array
        for index, pair in trainer._updaters[0].states.items()
        for moment, array in zip(MOMENTS, pair)
    }
    return dict(sorted(arrays.items()))


def moment_shapes(trainer, nets: Mapping, updates: int) -> dict[str, tuple]:
    """Tell the shapes that `moments` has after some updates, by the same names."""
    return {
        f"{name}.{moment}": trainer._params[index].shape
        for index, name in _names(trainer, nets).items()
        for moment in MOMENTS
        if updates
    }


def restore(trainer, nets: Mapping, arrays: Mapping, updates: int) -> None:
    """Have a trainer go on from its moments after some updates.

    Its learning rate and decays stay: they come from the run's options.

    Parameters
    ----------
    trainer, nets
        As for `moments`.
    arrays : mapping of str to NDArray
        Just those that `moment_shapes` names.
    updates : int
        How many it has done.
    """
    names = _names(trainer, nets) if updates else {}
    for updater, context in zip(trainer._updaters, trainer._contexts):
        updater.states = {
            index: tuple(arrays[f"{name}.{moment}"].copyto(context) for moment in MOMENTS)
            for index, name in names.items()
        }
        updater.states_synced = dict.fromkeys(names, True)
    # Every context counts each parameter's updates, from here on.
    trainer.optimizer._all_index_update_counts.clear()
    trainer.optimizer.begin_num_update = trainer.optimizer.num_update = updates


def _names(trainer, nets):
    """Name the parameters that a trainer updates, by their place in it.

    Gluon's own names, and with them the places, depend on what else a process has made.
    """
    structural = {
        parameter: f"{name}.{key}"
        for name, net in nets.items()
        for key, parameter in net._collect_params_with_prefix().items()
    }
    return {
        index: structural[parameter]
        for index, parameter in enumerate(trainer._params)
        if parameter.grad_req != "null"
    }
