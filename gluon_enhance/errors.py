"""The package's own errors; each message says what, which value, and what to do.

::

    GluonEnhanceError
    |-- UnknownModelError   a model name that is not in the zoo
    |-- WeightsError        weights missing, truncated, changed or not fitting the net
    |-- EngineError         an inference engine or framework that cannot do what was asked
    |-- TrainingError       a training run that cannot start or go on
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
