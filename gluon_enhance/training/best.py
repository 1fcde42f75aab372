"""The averaged net at the validation that scored best."""

from __future__ import annotations

import re

from gluon_enhance.errors import TrainingError

LOWER = re.compile(r"held_out_|.*(distance|loss)")
"""Beginnings of the scores of which the lowest is the best."""


class Best:
    """Keep the averaged net of the best validation so far.

    Parameters
    ----------
    score : str
        Name of the score that tells.

    Attributes
    ----------
    state : dict
        ``score``, ``value`` and ``step`` of the best; empty before the first validation.
    arrays : dict of str to NDArray
        The net's.
    """

    def __init__(self, score: str):
        self.score = score
        self.state: dict = {}
        self.arrays: dict = {}

    def offer(self, scores: dict, count: int, arrays: dict) -> None:
        """Take a net if it is better than the best so far.

        Raises
        ------
        TrainingError
            If there is no such score.
        """
        if self.score not in scores:
            raise TrainingError(
                f"--best is {self.score}, which is no score here; give one of {', '.join(scores)}"
            )
        value = scores[self.score]
        sign = -1 if LOWER.match(self.score) else 1
        if not self.state or sign * value > sign * self.state["value"]:
            self.state = {"score": self.score, "value": value, "step": count}
            self.arrays = {name: array.copy() for name, array in arrays.items()}
