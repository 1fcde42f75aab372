"""The package's own errors; each message says what, which value, and what to do.

::

    GluonEnhanceError
    |-- UnknownModelError   a model name that is not in the zoo
    |-- WeightsError        weights missing, truncated, changed or not fitting the net
    |-- EngineError         an inference engine or framework that cannot do what was asked
    |-- TrainingError       a training run that cannot start or go on
    |   `-- TrainingInterruptedError    one that a signal has ended early
    `-- ImageError          an image that cannot be read, written or enhanced
"""


class GluonEnhanceError(Exception):
    """Base of the package's own errors."""


class UnknownModelError(GluonEnhanceError, ValueError):
    """A model name that is not in the zoo."""


class WeightsError(GluonEnhanceError):
    """Weights that are missing, truncated, changed or do not fit the net."""


class EngineError(GluonEnhanceError):
    """An engine or framework that is missing or cannot do what was asked."""


class ImageError(GluonEnhanceError):
    """An image that cannot be read, written or enhanced."""


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
