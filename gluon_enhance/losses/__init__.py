"""Losses of the papers; importing this package does not import MXNet, using a loss does.

Every loss is called as ``loss(pred, label)`` and gives one value per sample, shape (N,), a mean
over the sample unless its paper sums. The adversarial ones have ``generator`` and
``discriminator`` instead, both called with ``(real_logits, fake_logits)``. As in
``mx.gluon.loss`` all take a ``weight``, None for 1, and a ``batch_axis``, and are called with a
``sample_weight`` as the last input if samples are to count differently.
"""

import importlib

#: Public name -> module of this package, imported on first use.
_PUBLIC = {
    "CachedFeatureLoss": "perceptual",
    "CachedGramLoss": "perceptual",
    "CharbonnierLoss": "pixel",
    "ColorLoss": "pixel",
    "CycleLoss": "cycle",
    "DistillationLoss": "distillation",
    "FeatureLoss": "perceptual",
    "GaussianBlur": "pixel",
    "GramLoss": "perceptual",
    "Grayscale": "pixel",
    "HingeAdversarial": "adversarial",
    "L1Loss": "pixel",
    "L2Loss": "pixel",
    "LeastSquaresAdversarial": "adversarial",
    "MeanColorLoss": "pixel",
    "ProbabilityAdversarial": "adversarial",
    "RelativisticAverageAdversarial": "adversarial",
    "StandardAdversarial": "adversarial",
    "StyleLoss": "perceptual",
    "TotalVariationLoss": "pixel",
    "VGGFeatures": "vgg",
    "vgg_features": "vgg",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__():
    return [*globals(), *__all__]
