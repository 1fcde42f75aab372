"""Nets as wide as the PyTorch programs that name their weights build them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

PUBLISHED_GROWTH = 32
"""Channels that a dense convolution adds in every RRDBNet of BasicSR's users: spandrel has no other
number."""


def widened(net):
    """Return a net that computes the same and that PyTorch programs can build.

    Parameters
    ----------
    net : HybridBlock
        Initialized, of `gluon_enhance.get_model`.

    Returns
    -------
    HybridBlock
        For an RRDBNet whose dense convolutions add fewer channels than `PUBLISHED_GROWTH`, one in
        which they add so many, the further ones zeros; else the net itself.
    """
    from gluon_enhance.framework import mx
    from gluon_enhance.models.rrdbnet import RRDBNet

    if not isinstance(net, RRDBNet):
        return net
    channels, growth = net.head.weight.shape[0], net.body[0].rdb1.conv1.weight.shape[0]
    if growth >= PUBLISHED_GROWTH:
        return net
    kwargs = {**net.spec.kwargs, "growth_channels": PUBLISHED_GROWTH}
    wide = RRDBNet(**kwargs)
    wide.initialize(mx.init.Zero())
    wide.spec = replace(net.spec, kwargs=kwargs)
    narrow = net._collect_params_with_prefix()
    for name, parameter in wide._collect_params_with_prefix().items():
        array = narrow[name].list_data()[0].asnumpy()
        if array.shape != parameter.shape:
            array = _padded(array, parameter.shape, channels, growth)
        parameter.set_data(mx.nd.array(array))
    return wide


def _padded(array, shape, channels, growth):
    """Put a dense convolution's weight or bias among zeros.

    Its inputs are those of the block, then what each convolution before it has added.
    """
    wide = np.zeros(shape, array.dtype)
    if array.ndim == 1:
        wide[: len(array)] = array
        return wide
    added = np.arange(array.shape[1] - channels)
    places = channels + added // growth * PUBLISHED_GROWTH + added % growth
    wide[: len(array), :channels] = array[:, :channels]
    wide[: len(array), places] = array[:, channels:]
    return wide
