"""What a finished run leaves: weights and a card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from gluon_enhance.atomic import whole_file
from gluon_enhance.training.config import TrainingConfig
from gluon_enhance.training.net_arrays import save_arrays
from gluon_enhance.weights.manifest import write_card


def save_result(
    step, net, config: TrainingConfig, history: list, test: Mapping[str, float] | None = None
) -> Path:
    """Write the averaged net as ``NAME.params`` with a ``card.json`` beside it.

    Of several machines only the first writes.

    Parameters
    ----------
    step : Step
    net : HybridBlock
        The step's generator, from `gluon_enhance.get_model`: its spec names it.
    config : TrainingConfig
    history : list of dict
        Rows of the log; the card gets the last.
    test : mapping of str to float, optional
        Scores of the test, for the card, as ``test_NAME``.

    Returns
    -------
    Path
        Of the weights; ``-m NAME=PATH`` uses them.
    """
    path = Path(config.out, f"{net.spec.name}.params")
    if not step.devices.is_first:
        return path
    with whole_file(path) as part:
        save_arrays(part, step.average.arrays)
    card = {**asdict(net.spec), "training": asdict(config), "log": history[-1:]}
    if step.best and step.best.state:
        card["best"] = step.best.state
    if test:
        card["test"] = {f"test_{name}": value for name, value in test.items()}
    write_card(path.parent, card)
    return path
