"""Learning-rate schedules, from GluonCV."""

from __future__ import annotations

from typing import Callable

# isort: off
from gluon_enhance.framework import mx  # noqa: F401  the shims must precede GluonCV's own import
from gluoncv.utils import LRScheduler, LRSequential
# isort: on


def warmup_cosine(
    learning_rate: float, iterations: int, warmup: int, final_share: float = 1e-3
) -> Callable[[int], float]:
    """Rise linearly over `warmup` steps, then fall as a cosine to a share of the first rate.

    Returns
    -------
    callable
        Step count -> learning rate.
    """
    # GluonCV divides by a phase's length less one.
    warmup = max(2, min(warmup, iterations - 2))
    return LRSequential(
        [
            LRScheduler(
                "linear", base_lr=learning_rate / 100, target_lr=learning_rate, niters=warmup
            ),
            LRScheduler(
                "cosine",
                base_lr=learning_rate,
                target_lr=learning_rate * final_share,
                niters=max(2, iterations - warmup),
            ),
        ]
    )
