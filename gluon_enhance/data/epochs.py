"""Epochs: every item of a data set once before any comes again, in an order that is shuffled."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np


class Turn(NamedTuple):
    """The place of a sample in a run that goes by epochs.

    It tells which item is due without any memory of those before: a run that goes on and machines
    that share a batch need no more than the number.

    Attributes
    ----------
    seed : int
        Of the run.
    number : int
        Of the sample in the run, from 0 on.
    stream : int
        Another one has another order, for a second data set.
    """

    seed: int
    number: int
    stream: int = 0

    def of(self, count: int) -> int:
        """Return the index that is due of `count` items."""
        epoch, place = divmod(self.number, count)
        return int(_order(self.seed, self.stream, epoch, count)[place])


@lru_cache(maxsize=4)  # two data sets, at the end of an epoch
def _order(seed, stream, epoch, count):
    return np.random.default_rng((seed, stream, epoch)).permutation(count)
