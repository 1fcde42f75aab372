"""Learning-rate schedules, from GluonCV."""

from __future__ import annotations

import sys
from typing import Callable

from PIL import ImageFile

from gluon_enhance.framework import import_mxnet


def _import_schedulers():
    """Import GluonCV's schedulers; a PyTorch newer than 1.x beside it would make it raise.

    It also has Pillow read files that are cut short, and fill in gray: that is undone.
    """
    import_mxnet()  # its shims must precede GluonCV's own import
    truncated = ImageFile.LOAD_TRUNCATED_IMAGES
    absent = object()
    torch = sys.modules.get("torch", absent)
    sys.modules["torch"] = None
    try:
        from gluoncv.utils import LRScheduler, LRSequential
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = truncated
        del sys.modules["torch"]
        if torch is not absent:
            sys.modules["torch"] = torch
    return LRScheduler, LRSequential


LRScheduler, LRSequential = _import_schedulers()


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
