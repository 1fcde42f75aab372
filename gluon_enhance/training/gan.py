"""What a GAN needs beside its losses: critics, a balance, and a watch for ways to fail."""

from __future__ import annotations

import logging
import math
import re
from collections import deque
from typing import Callable

from gluon_enhance.errors import TrainingError
from gluon_enhance.framework import mx

logger = logging.getLogger(__name__)

FLAT = 0.1
"""Fraction of the photos' spread under which a generator's output counts as flat; one that works
has nearly all of it."""
FLAT_STEPS = 500
"""Steps of flat output that end a run; a net fresh from its initialization has fewer."""
REDEEMED = 5
"""Of them, those that a step of other output makes up for: in a small batch of sky no output varies
less than the photos do."""

LOST = 0.01
"""Loss under which a discriminator counts as one that is never wrong."""
CHANCE, CHANCE_WIDTH = 2 * math.log(2), 0.01
"""Loss, of real and false ones together, of a discriminator that knows nothing, and how near."""
CRITIC_STEPS = 200
"""In a row, before a discriminator is reported: near chance good ones pass by too."""


class Critic:
    """A discriminator with what it looks at and the loss it plays.

    Parameters
    ----------
    net : HybridBlock
        Gives one logit for each image, or two whose difference counts.
    adversarial : object
        One of `gluon_enhance.losses.adversarial`.
    weight : float
        Of the generator's adversarial loss.
    view : callable, optional
        What it sees of images (N, 3, H, W): a blur, the gray, or by default all.
    """

    def __init__(self, net, adversarial, weight: float, view: Callable = lambda images: images):
        self.net = net
        self.adversarial = adversarial
        self.weight = weight
        self.view = view

    def logits(self, images):
        """Judge images: (N, 3, H, W) -> (N, 1), high for real ones."""
        out = self.net(self.view(images))
        return out if out.shape[1] == 1 else out[:, :1] - out[:, 1:]

    def generator_loss(self, real, fake):
        """Weigh the loss that `fake` (N, 3, H, W) makes its generator; (N,)."""
        # No gradient for the real images, but the statistics of a batch in training.
        with mx.autograd.pause(train_mode=True):
            real_logits = self.logits(real) if self.adversarial.relativistic else None
        return self.weight * self.adversarial.generator(real_logits, self.logits(fake))

    def discriminator_loss(self, real, fake):
        """Return the loss (N,), and the fraction of the images that were told right, (1,)."""
        real_logits, fake_logits = self.logits(real), self.logits(fake)
        loss = self.adversarial.discriminator(real_logits, fake_logits)
        with mx.autograd.pause():
            # An image is told right if its logit is on its side of 0, or, where only differences
            # count, of the mean of the other kind's.
            above = real_logits, fake_logits
            if self.adversarial.relativistic:
                above = real_logits - fake_logits.mean(), fake_logits - real_logits.mean()
            accuracy = 0.5 * ((above[0] > 0).mean() + (above[1] < 0).mean())
        return loss, accuracy


class FixedRatio:
    """Have generators and discriminators learn in a fixed ratio of steps.

    Who learns less often does so at even distances, and in the last step of each round: under 3:1
    discriminators learn in every third step, under 1:5 generators in every fifth.

    Parameters
    ----------
    ratio : str
        ``GENERATORS:DISCRIMINATORS``, such as 3:1.

    Raises
    ------
    ValueError
        If that is no ratio of two whole numbers from 1 on.
    """

    def __init__(self, ratio: str):
        if not re.fullmatch(r"[1-9]\d{0,3}:[1-9]\d{0,3}", ratio):
            raise ValueError(f"--ratio is {ratio!r}; give two numbers, such as 3:1")
        self._generators, self._critics = map(int, ratio.split(":"))
        self._count = 0

    def generators_learn(self) -> bool:
        """Begin a step; tell whether the generators learn in it."""
        self._count += 1
        return self._is_turn(self._generators)

    def critics_learn(self, generator_loss: float) -> bool:
        """Tell whether the discriminators learn in this step."""
        return self._is_turn(self._critics)

    def note_critics(self, loss: float) -> None:
        """Take the discriminators' loss, which a fixed ratio does not need."""

    def _is_turn(self, times):
        steps = max(self._generators, self._critics)
        return self._count * times // steps > (self._count - 1) * times // steps

    @property
    def state(self) -> dict:
        """What a checkpoint keeps, as JSON."""
        return {"count": self._count}

    @state.setter
    def state(self, state: dict) -> None:
        self._count = int(state["count"])


class DynamicBalance:
    """Hold the discriminators back while they are too strong, or the generator diverges.

    The rules are of a reproduction of WESPE whose generators ended in flat colors without them.
    Its text says that the first holds when the discriminators' loss *exceeds* the threshold; its
    aim, to keep that loss from getting very small, is met only if it holds *below*, the default.
    Nor does it say which of the generators' losses its 0.015 is of. We read: of the weighted
    adversarial ones. WESPE's two, of weight 5e-3, are 0.0069 together at chance, so that 0.015 is
    about twice that; its content loss alone is over 0.015 from the first step to the last.

    Parameters
    ----------
    critic_threshold : float
        While the mean of the discriminators' last losses is on the wrong side of it, they learn
        in one step of `ratio`. A discriminator at chance has 2 log 2 = 1.386. The text has no
        value.
    generator_threshold : float
        While the mean of the generators' last adversarial losses exceeds it, the discriminators
        do not learn, until each of these is under it.
    window : int
        How many losses are the last.
    ratio : int
        Updates of the generators for one of the discriminators.
    critic_side : {'below', 'above'}
        Which side of `critic_threshold` is wrong.

    Raises
    ------
    ValueError
        If there is no such side.
    """

    def __init__(
        self,
        critic_threshold: float,
        generator_threshold: float = 0.015,
        window: int = 5,
        ratio: int = 3,
        critic_side: str = "below",
    ):
        if critic_side not in ("below", "above"):
            raise ValueError(f"critic_side is {critic_side!r}; give 'below' or 'above'")
        self._critic_threshold = critic_threshold
        self._generator_threshold = generator_threshold
        self._ratio = ratio
        self._sign = 1 if critic_side == "below" else -1
        self._critic_losses: deque = deque(maxlen=window)  # of steps in which they learned
        self._generator_losses: deque = deque(maxlen=window)  # of all steps
        self._waited = 0  # steps since they learned, without those in which they were paused
        self._paused = False  # by the second rule

    def generators_learn(self) -> bool:
        """Tell whether the generators learn in this step: they do in all."""
        return True

    def critics_learn(self, generator_loss: float) -> bool:
        """Take the generators' adversarial loss of a step; tell whether the others learn in it."""
        losses = self._generator_losses
        losses.append(generator_loss)
        # Two borders, so that a loss near the threshold does not switch in every step: the mean
        # begins a pause, and each of the last losses has to be low to end it.
        if len(losses) == losses.maxlen and _mean(losses) > self._generator_threshold:
            self._paused = True
        elif max(losses) <= self._generator_threshold:
            self._paused = False
        if self._paused:
            return False
        self._waited += 1
        if self._too_strong() and self._waited < self._ratio:
            return False
        self._waited = 0
        return True

    def note_critics(self, loss: float) -> None:
        """Take the discriminators' loss of a step in which they learned."""
        self._critic_losses.append(loss)

    def _too_strong(self):
        losses = self._critic_losses
        if len(losses) < losses.maxlen:
            return False
        return self._sign * (self._critic_threshold - _mean(losses)) > 0

    @property
    def state(self) -> dict:
        """What a checkpoint keeps, as JSON."""
        return {
            "critic_losses": list(self._critic_losses),
            "generator_losses": list(self._generator_losses),
            "waited": self._waited,
            "paused": self._paused,
        }

    @state.setter
    def state(self, state: dict) -> None:
        self._critic_losses.extend(map(float, state["critic_losses"]))
        self._generator_losses.extend(map(float, state["generator_losses"]))
        self._waited = int(state["waited"])
        self._paused = bool(state["paused"])


def _mean(values):
    return sum(values) / len(values)


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
        flat = self._counts.get("flat", 0)
        self._counts["flat"] = flat + 1 if spread < FLAT else max(0, flat - REDEEMED)
        if self._counts["flat"] == FLAT_STEPS:
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
