"""The package's own errors; each message says what, which value, and what to do.

::

    GluonEnhanceError
    |-- UnknownModelError   a model name that is not in the zoo
    |-- WeightsError        weights missing, truncated, changed or not fitting the net
    |-- EngineError         an inference engine or framework that cannot do what was asked
    |-- TrainingError       a training run that cannot start or go on
    |   `-- TrainingInterruptedError    one that a signal has ended early
    `-- ImageError          an image that cannot be read, written or enhanced

Messages quote names of files, and what is in them: they are `printable`, and of bounded length.
"""

import logging
import re

STEERING = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)
"""Characters that names of files can hold and messages must not: controls, changes of the
direction, and what is no text in UTF-8."""
MAX_CHARACTERS = 2000
"""Of a message."""


def printable(text: str) -> str:
    """Escape what would steer a terminal or turn text around, and shorten what is long."""
    if len(text) > MAX_CHARACTERS:
        half = MAX_CHARACTERS // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return STEERING.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def plural(count: int, noun: str) -> str:
    """Put a number before a noun, which gets an s unless it is 1."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


class PrintableFormatter(logging.Formatter):
    """A format of logs that name files, whatever their names are."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Format a record, with what would steer a terminal escaped."""
        return printable(super().formatMessage(record))


class GluonEnhanceError(Exception):
    """Base of the package's own errors; the message becomes one line."""

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(" ".join(str(message).splitlines())))


class UnknownModelError(GluonEnhanceError, ValueError):
    """A model name that is not in the zoo."""


class WeightsError(GluonEnhanceError):
    """Weights that are missing, truncated, changed or do not fit the net."""


class EngineError(GluonEnhanceError):
    """An engine or framework that is missing or cannot do what was asked."""


class ImageError(GluonEnhanceError):
    """An image that cannot be read, written or enhanced."""


def untrusted(name: object, fault: str) -> ImageError:
    """Make the error of an image that leads to files or addresses elsewhere, or takes too long."""
    return ImageError(f"{name} {fault}; if you trust who made it, give --trust (trust=True)")


class TrainingError(GluonEnhanceError):
    """A training run that cannot start or go on."""


class TrainingInterruptedError(TrainingError):
    """A training run that a signal has ended early, with a checkpoint to go on from.

    Attributes
    ----------
    signal : int
        Its number; a script then ends with status 128 + this, as shells have it.
    """

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal
