"""What a finished run leaves: weights and a card."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from gluon_enhance.training.config import TrainingConfig


def save_result(step, net, config: TrainingConfig, history: list) -> Path:
    """Write the averaged net as ``NAME.params`` with a ``card.json`` beside it.

    Parameters
    ----------
    step : Step
    net : HybridBlock
        The step's generator, from `gluon_enhance.get_model`: its spec names it.
    config : TrainingConfig
    history : list of dict
        Rows of the log; the card gets the last.

    Returns
    -------
    Path
        Of the weights; ``-m NAME=PATH`` uses them.
    """
    out = Path(config.out)
    path = out / f"{net.spec.name}.params"
    part = path.with_name(f".{path.name}.part")
    with step.average.applied():
        net.save_parameters(str(part))
    part.replace(path)
    card = {**asdict(net.spec), "training": asdict(config), "log": history[-1:]}
    part = out / ".card.json.part"
    part.write_text(json.dumps(card, indent=1) + "\n")
    part.replace(out / "card.json")
    return path
