"""Learning-rate schedules."""

from __future__ import annotations

from typing import Callable

from gluon_enhance.framework import mx


def warmup_cosine(
    learning_rate: float, iterations: int, warmup: int, final_share: float = 1e-3
) -> Callable[[int], float]:
    """Rise linearly over `warmup` steps, then fall as a cosine to a share of the first rate.

    The last step of the rise, the first of the fall and none other have the full rate; the last
    step of all has the final one.

    Returns
    -------
    callable
        Step count -> learning rate.
    """
    warmup = max(2, min(warmup, iterations - 2))
    rise = mx.lr_scheduler.LRScheduler(learning_rate, warmup - 1, learning_rate / 100)
    last = max(1, iterations - warmup - 1)
    fall = mx.lr_scheduler.CosineScheduler(last, learning_rate, learning_rate * final_share)

    def rate(count):
        if count < warmup - 1:
            return rise.get_warmup_lr(count)
        return fall(min(max(0, count - warmup), last))

    return rate
