"""What every loss takes as those of Gluon do: weights, and the axis along which samples lie.

``weight`` is a number, or None for 1. ``sample_weight``, the last input of every loss, may be left
out. ``batch_axis`` tells which axis of the images, or of the logits, counts the samples.
"""

from collections.abc import Mapping
from itertools import repeat

from gluon_enhance.errors import plural


def batch_first(F, array, batch_axis, ndim=4):
    """Move the samples' axis to the front; the others keep their order."""
    if batch_axis == 0:
        return array
    batch_axis %= ndim
    others = (axis for axis in range(ndim) if axis != batch_axis)
    return F.transpose(array, axes=(batch_axis, *others))


def weighted(F, losses, weight, sample_weight=None):
    """Multiply losses of samples, (N,), with the loss's weight and those of the samples.

    Parameters
    ----------
    F : module
        ``mx.nd`` or ``mx.sym``.
    losses : NDArray or Symbol
        (N,).
    weight : float or None
    sample_weight : NDArray or Symbol, optional
        One number a sample, whatever axes of length 1 are around it.
    """
    if sample_weight is not None:
        losses = F.broadcast_mul(losses, F.reshape(sample_weight, (-1,)))
    return losses if weight is None else weight * losses


def by_layer(weights, features):
    """Return an iterable of a weight for each map that features give, in their order.

    Parameters
    ----------
    weights : sequence or mapping of float, or None
        A mapping has them by the names of the layers, as BasicSR's options do; None is 1 for each.
    features : HybridBlock
        Its `layers`, if it has such, are the names.

    Raises
    ------
    ValueError
        If the weights are not those of the layers.
    """
    if weights is None:
        return repeat(1.0)
    layers = getattr(features, "layers", None)
    if isinstance(weights, Mapping):
        if layers is None or set(weights) != set(layers):
            raise ValueError(
                f"layer_weights are of {', '.join(map(str, weights)) or 'no layer'}, and the "
                f"features' layers are {', '.join(layers or ()) or 'without names'}; give a weight "
                "for each of these"
            )
        return tuple(weights[name] for name in layers)
    if layers is not None and len(weights) != len(layers):
        raise ValueError(
            f"layer_weights has {plural(len(weights), 'weight')} for the "
            f"{plural(len(layers), 'layer')} of the features"
        )
    return tuple(weights)
