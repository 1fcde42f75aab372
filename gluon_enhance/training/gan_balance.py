"""Keeping the two players of a GAN level."""

from __future__ import annotations

from collections import deque


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
        self._critic_losses = deque(maxlen=window)
        self._generator_losses = deque(maxlen=window)
        self._waited = 0
        self._paused = False

    def critics_learn(self, generator_loss: float) -> bool:
        """Take the generators' adversarial loss of a step; tell whether the others learn in it."""
        losses = self._generator_losses
        losses.append(generator_loss)
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
