"""Learning-rate schedules, of MXNet's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from gluon_enhance.framework import mx

SCHEDULES = ("cosine", "constant", "multistep", "restarts")
FIRST_FRACTION = 0.01
"""Of the learning rate, in the first step of its rise."""
FINAL_FRACTION = 1e-3
"""Of the learning rate, at the end of a cosine."""


def make_schedule(config) -> Callable[[int], float]:
    """Make the schedule of a run's options.

    Parameters
    ----------
    config : TrainingConfig

    Returns
    -------
    callable
        Count of the steps done -> learning rate of the next.
    """
    rate, iterations, warmup = config.learning_rate, config.iterations, config.warmup
    if config.schedule == "cosine":
        return warmup_cosine(rate, iterations, warmup)
    if config.schedule == "multistep":
        after = multistep(rate, iterations, config.milestones, config.decay)
    elif config.schedule == "restarts":
        after = cosine_restarts(rate, iterations, config.periods)
    else:
        after = mx.lr_scheduler.FactorScheduler(step=iterations + 1, factor=1, base_lr=rate)
    return risen(rate, warmup, after)


def risen(learning_rate: float, warmup: int, after: Callable) -> Callable[[int], float]:
    """Rise linearly up to the full rate in the last step of `warmup`, then do as `after` says."""
    if warmup < 2:
        return after
    rise = mx.lr_scheduler.LRScheduler(learning_rate, warmup - 1, FIRST_FRACTION * learning_rate)
    return lambda count: rise.get_warmup_lr(count) if count < warmup - 1 else after(count)


def warmup_cosine(learning_rate: float, iterations: int, warmup: int) -> Callable[[int], float]:
    """Rise linearly over `warmup` steps, then fall as a cosine to a fraction of the first rate.

    The last step of the rise, the first of the fall and none other have the full rate; the last
    step of all has the final one.
    """
    warmup = max(2, min(warmup, iterations - 2))
    last = max(1, iterations - warmup - 1)
    fall = mx.lr_scheduler.CosineScheduler(last, learning_rate, learning_rate * FINAL_FRACTION)
    return risen(learning_rate, warmup, lambda count: fall(min(max(0, count - warmup), last)))


def multistep(
    learning_rate: float, iterations: int, milestones: Sequence[float], decay: float
) -> Callable[[int], float]:
    """Multiply the rate by `decay` after each milestone: steps or, below 1, a fraction of all.

    Raises
    ------
    ValueError
        If there is no milestone, or the decay is above 1.
    """
    steps = sorted({max(1, round(m * iterations if m < 1 else m)) for m in milestones})
    if not steps or decay > 1:
        raise ValueError(
            f"--milestones are {tuple(milestones)}, --decay is {decay}; give some, and at most 1"
        )

    def rate(count):
        # MXNet's keeps where it is: a new one does not depend on what was asked before. It lowers
        # the rate of the updates after a milestone, which it counts from 1.
        scheduler = mx.lr_scheduler.MultiFactorScheduler(list(steps), decay, learning_rate)
        return scheduler(count + 1)

    return rate


def cosine_restarts(learning_rate: float, iterations: int, periods: int) -> Callable[[int], float]:
    """Fall as a cosine in each of some periods of equal length; each begins with the full rate."""
    length = -(-iterations // periods)
    last = max(1, length - 1)
    fall = mx.lr_scheduler.CosineScheduler(last, learning_rate, learning_rate * FINAL_FRACTION)
    return lambda count: fall(count % length)
