"""Gradients by central differences, to test those of losses against."""

import numpy as np

from gluon_enhance.framework import mx

STEP = 1e-5


def by_differences(function, x):
    """Differentiate a function of a float64 array that gives one number."""
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        shift = np.zeros_like(x)
        shift[place] = STEP
        gradient[place] = (function(x + shift) - function(x - shift)) / (2 * STEP)
    return gradient


def by_autograd(function, x):
    """Differentiate the sum of what a function of an NDArray gives, in float64."""
    x = mx.nd.array(x, dtype="float64")
    x.attach_grad()
    with mx.autograd.record():
        total = function(x).sum()
    total.backward()
    return x.grad.asnumpy()


def assert_gradient_is_right(function, x, tolerance=1e-6):
    """Compare the two, relative to the largest element of the gradient."""

    def total(values):
        return function(mx.nd.array(values, dtype="float64")).asnumpy().sum()

    expected = by_differences(total, x)
    assert np.abs(expected).max() > 0
    error = np.abs(by_autograd(function, x) - expected).max() / np.abs(expected).max()
    assert error < tolerance
