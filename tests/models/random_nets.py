"""Gluon nets with random parameters, and those parameters as float64 layers."""

import math

import float64
import numpy as np

from gluon_enhance.framework import mx


def trained_numbers(net):
    parameters = net.collect_params().values()
    return sum(math.prod(p.shape) for p in parameters if p.grad_req != "null")


def randomize(net, rng):
    """Initialize a net with numbers that let no layer vanish, and return its `Layers`."""
    net.initialize(force_reinit=True)
    parameters = net._collect_params_with_prefix()
    for name, parameter in parameters.items():
        kind, shape = name.rpartition(".")[2], parameter.shape
        if kind == "weight":
            fan_in = math.prod(shape) / max(shape[:2])
            parameter.set_data(mx.nd.array(rng.normal(size=shape) / np.sqrt(fan_in)))
        elif kind in ("bias", "beta", "running_mean"):
            parameter.set_data(mx.nd.array(rng.normal(size=shape) * 0.1))
        elif kind in ("gamma", "running_var", "alpha"):
            parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, shape)))
    return Layers({k: p.data().asnumpy().astype(np.float64) for k, p in parameters.items()})


class Layers(dict):
    """Parameters of a net by name; a layer is called by its name, on (C, H, W)."""

    def conv(self, x, name, mode="constant"):
        return float64.conv(x, self[f"{name}.weight"], self.get(f"{name}.bias"), mode)

    def doubling_conv(self, x, name):
        return float64.doubling_conv(x, self[f"{name}.weight"], self.get(f"{name}.bias"))

    def norm(self, x, name, epsilon, axes=(1, 2)):
        """With running averages, if there are any."""
        gamma, beta = self[f"{name}.gamma"], self[f"{name}.beta"]
        if f"{name}.running_mean" not in self:
            return float64.moment_norm(x, gamma, beta, epsilon, axes)
        mean, variance = self[f"{name}.running_mean"], self[f"{name}.running_var"]
        # float64.batch_norm adds 1e-5 to the variance.
        return float64.batch_norm(x, gamma, beta, mean, variance + epsilon - 1e-5)
