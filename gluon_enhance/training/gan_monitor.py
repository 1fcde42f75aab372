"""Ways in which a GAN's training fails, told from what its steps log."""

from __future__ import annotations

import logging
import math

from gluon_enhance.errors import TrainingError

logger = logging.getLogger(__name__)

FLAT = 0.1
"""Share of the photos' spread under which a generator's output counts as flat."""
FLAT_STEPS = 500
"""A net fresh from its initialization is flat too, for fewer."""

LOST = 0.01
"""Loss under which a discriminator counts as one that is never wrong."""
CHANCE, CHANCE_WIDTH = 2 * math.log(2), 0.01
"""Loss, of real and false ones together, of a discriminator that knows nothing, and how near."""
CRITIC_STEPS = 200
"""In a row, before a discriminator is reported: near chance good ones pass by too."""


class CollapseWatch:
    """Stop a run whose generator paints flat colors, and report discriminators that are no use.

    Flat colors are for good. A discriminator whose loss is near 0, or stays at chance, 2 log 2 of
    the standard adversarial loss, has been seen to end in them; there is one warning for each.
    """

    def __init__(self):
        self._counts = {}

    def check(self, values: dict, count: int) -> None:
        """Look at what step `count` has logged.

        Parameters
        ----------
        values : dict of str to float
            ``spread``, and ``NAME_loss`` of discriminators, where there are any.
        count : int

        Raises
        ------
        TrainingError
            If the generator's output has been flat for long.
        """
        if "spread" in values:
            self._check_spread(values["spread"], count)
        for name, loss in values.items():
            if name.endswith("_loss"):
                self._check_critic(name[: -len("_loss")], loss, count)

    def _check_spread(self, spread, count):
        if self._in_a_row("flat", spread < FLAT) == FLAT_STEPS:
            raise TrainingError(
                f"the generator has collapsed to flat colors: up to step {count}, in {FLAT_STEPS} "
                f"steps, its output varied by under {FLAT:.0%} of what photos do (last "
                f"{spread:.2%}). Start again with a lower --learning-rate, or more weight on the "
                "losses that are not adversarial"
            )

    def _check_critic(self, name, loss, count):
        if self._in_a_row(f"{name} never wrong", loss < LOST) == CRITIC_STEPS:
            logger.warning(
                "the discriminator %r is never wrong: in %d steps up to %d its loss was under %g "
                "(last %.2g), and a generator learns little from it; hold it back",
                *(name, CRITIC_STEPS, count, LOST, loss),
            )
        if self._in_a_row(f"{name} at chance", abs(loss - CHANCE) < CHANCE_WIDTH) == CRITIC_STEPS:
            logger.warning(
                "the discriminator %r is stuck at chance: in %d steps up to %d its loss was near "
                "2 log 2 = %.4f (last %.4f), and a generator learns nothing from it",
                *(name, CRITIC_STEPS, count, CHANCE, loss),
            )

    def _in_a_row(self, what, seen):
        self._counts[what] = self._counts.get(what, 0) + 1 if seen else 0
        return self._counts[what]

    @property
    def state(self) -> dict:
        """What a checkpoint keeps, as JSON."""
        return dict(self._counts)

    @state.setter
    def state(self, state: dict) -> None:
        self._counts = dict(state)
