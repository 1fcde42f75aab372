"""OpenVINO's graphs whose convolutions have 8 bits: ranges of maps, even channels, rounding.

A map is what a convolution takes, be it alone or beside others in a concatenation. OpenVINO joins
maps in 8 bits only if they have one range. In a dense block that is the range of the widest, of
which the others, and every narrow channel, use few of the 256 levels. So channels are scaled to one
range first, in the weights before them and back in those behind them, which changes no answer.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from gluon_enhance.engines.bfloat16 import constant_of

Ranges = dict[str, tuple[np.ndarray, np.ndarray]]
"""Map -> its least and its largest value in each channel, (C,)."""

EVENNESS = 0.75
"""How far channels get one range, from 0 to 1. What it evens out in maps are steps of weights: at 1
``realesrgan_x4`` keeps 2 dB less on hatching, and at 0.5 it keeps 0.7 dB less on photos."""

NARROWEST = 1 / 32
"""Part of the range that a channel is taken to have at least: one that was hardly used on photos
for calibration may have more to say of others."""

SMALLEST = 1e-6
"""Ranges are at least this, so that a channel of zeros can be scaled."""


class EightBitGraph:
    """A net of which convolutions can get 8 bits.

    Parameters
    ----------
    openvino : module
    model : openvino.Model
        With scales that are part of weights (`gluon_enhance.engines.bfloat16.with_folded_scales`).
    """

    def __init__(self, openvino, model):
        self._openvino = openvino
        self._ops = openvino.opset8
        self.model = model

    def _copy(self):
        return EightBitGraph(self._openvino, self.model.clone())

    def convolutions(self) -> dict[str, np.ndarray]:
        """Return the weights (O, I, kH, kW) of each convolution that has such, by its name."""
        found = {}
        for node in self.model.get_ordered_ops():
            weights = _weights(node)
            if weights is not None:
                found[node.get_friendly_name()] = weights
        return found

    def units(self) -> list[list[str]]:
        """List sets of convolutions that take maps in common, such as a dense block's."""
        groups = _Groups()
        maps = {}
        for node in self.model.get_ordered_ops():
            if _weights(node) is not None:
                maps[node.get_friendly_name()] = list(map(_name, _leaves(node.input_value(0))))
                groups.join(maps[node.get_friendly_name()])
        units: dict[int, list[str]] = {}
        for name, (first, *_) in maps.items():
            units.setdefault(groups.number(first), []).append(name)
        return list(units.values())

    def probe(self):
        """Return a net that gives the least and the largest value of each map's channels.

        Returns
        -------
        names : list of str
            Of the maps.
        model : openvino.Model
            With two outputs (N, C, 1, 1) for each map.
        """
        ops, results = self._ops, []
        copy = self._copy()
        sides = ops.constant(np.array([2, 3]))
        for output in copy._maps().values():
            for reduce in (ops.reduce_min, ops.reduce_max):
                results.append(ops.result(reduce(output, sides, keep_dims=True)))
        parameters = copy.model.get_parameters()
        return list(self._maps()), self._openvino.Model(results, parameters, "probe")

    def even_channels(self, ranges: Ranges) -> Ranges:
        """Scale channels to one range, where nothing but convolutions takes them.

        Parameters
        ----------
        ranges : dict
            Of all maps.

        Returns
        -------
        dict
            Of all maps, as they are now.
        """
        ranges, maps = dict(ranges), self._maps()
        layers = {}
        for name, output in maps.items():
            layer = self._layer_before(output)
            if layer and _uses(output):
                layers[name] = layer
        for name, layer in layers.items():
            uses = _uses(maps[name])
            beside = {_name(leaf) for node, _ in uses for leaf in _leaves(node.input_value(0))}
            fixed = [_extent(ranges[one]).max() for one in beside - layers.keys()]
            extent = _extent(ranges[name])
            part = np.maximum(extent / max(fixed or [extent.max()]), NARROWEST)
            scale = part**EVENNESS / _weight_of_channels(uses, len(extent)) ** (1 - EVENNESS)
            self._scale(layer, uses, scale.astype(np.float32))
            ranges[name] = ranges[name][0] / scale, ranges[name][1] / scale
        return ranges

    def _scale(self, layer, uses, scale):
        """Divide a map's channels in the layer before, and multiply them in those that take it."""
        for node, first in uses:
            weights = _weights(node).copy()
            weights[:, first : first + len(scale)] *= scale[:, None, None]
            self._replace(node, weights)
        for node in layer:
            shape = (-1, 1, 1, 1) if node.get_type_name() == "Convolution" else (1, -1, 1, 1)
            self._replace(node, constant_of(node.input_value(1).get_node()) / scale.reshape(shape))

    def rounded(self, ranges: Ranges, names: Collection[str]):
        """Return the net with 8 bits in some of its convolutions.

        Weights get a scale for each output channel, and maps 256 levels between the extremes that
        all maps have together that meet in a convolution.

        Parameters
        ----------
        ranges : dict
            Of all maps.
        names : collection of str
            Of these convolutions.

        Returns
        -------
        openvino.Model
        """
        graph = self._copy()
        nodes = [n for n in graph.model.get_ordered_ops() if n.get_friendly_name() in names]
        maps, groups = graph._maps(), _Groups()
        for node in nodes:
            groups.join(map(_name, _leaves(node.input_value(0))))
        for group in groups:
            low = min(ranges[name][0].min() for name in group)
            high = max(ranges[name][1].max() for name in group)
            for name in group:
                graph._round_map(maps[name], low, high, names)
        for node in nodes:
            node.input(1).replace_source_output(graph._rounded_weights(node).output(0))
        graph.model.validate_nodes_and_infer_types()
        return graph.model

    def _maps(self):
        """Return the outputs that convolutions take, by name."""
        inputs = [n.input_value(0) for n in self.model.get_ordered_ops() if _weights(n) is not None]
        return {_name(leaf): leaf for output in inputs for leaf in _leaves(output)}

    def _layer_before(self, output):
        """List a convolution and its bias, whose constants scale a map; None if others make it.

        A rectifier between these and the map lets scales through.
        """
        found, node = [], output.get_node()
        if node.get_type_name() in ("PRelu", "Relu"):
            node = _only_input(node)
        if node and node.get_type_name() == "Add":
            if constant_of(node.input_value(1).get_node()) is None:
                return None
            found.append(node)
            node = _only_input(node)
        return [*found, node] if node and _weights(node) is not None else None

    def _replace(self, node, values):
        constant = self._ops.constant(np.ascontiguousarray(values, np.float32))
        node.input(1).replace_source_output(constant.output(0))

    def _round_map(self, output, low, high, names):
        """Round a map for those convolutions, and in concatenations."""
        low, high = min(low, 0.0), max(high, SMALLEST)
        step = (high - low) / 255
        low = -step * round(-low / step)  # zero, which pads maps, is one of the levels
        ends = [
            self._ops.constant(np.full((1, 1, 1, 1), end, np.float32))
            for end in (low, low + 255 * step)
        ]
        targets = list(output.get_target_inputs())
        rounded = self._ops.fake_quantize(output, *ends, *ends, 256)
        for target in targets:
            node = target.get_node()
            if node.get_friendly_name() in names or node.get_type_name() == "Concat":
                target.replace_source_output(rounded.output(0))

    def _rounded_weights(self, node):
        weights = constant_of(node.input_value(1).get_node())
        extent = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
        scale = np.maximum(extent, SMALLEST).astype(np.float32) / 127
        codes = self._ops.constant(np.rint(weights / scale).astype(np.int8))
        return self._ops.multiply(self._ops.convert(codes, "f32"), self._ops.constant(scale))


class _Groups:
    """Sets of names that grow together."""

    def __init__(self):
        self._of = {}

    def join(self, names):
        merged = set()
        for name in names:
            merged |= self._of.get(name, {name})
        self._of.update(dict.fromkeys(merged, merged))

    def number(self, name):
        """Return what is the same for names of one set, and no others."""
        return id(self._of[name])

    def __iter__(self):
        return iter({id(group): group for group in self._of.values()}.values())


def _name(output):
    return output.get_node().get_friendly_name()


def _weights(node):
    """Return a convolution's constant weights; None of others."""
    is_convolution = node.get_type_name() == "Convolution"
    return constant_of(node.input_value(1).get_node()) if is_convolution else None


def _weight_of_channels(uses, count):
    """Return how much each channel weighs in the layers that take it, of their largest weights."""
    weight = np.full(count, NARROWEST)
    for node, first in uses:
        sizes = np.abs(_weights(node))
        rows = np.maximum(sizes.max(axis=(1, 2, 3), keepdims=True), SMALLEST)
        weight = np.maximum(weight, (sizes / rows)[:, first : first + count].max(axis=(0, 2, 3)))
    return weight


def _extent(sides):
    return np.maximum(np.maximum(-sides[0], sides[1]), SMALLEST)


def _only_input(node):
    """Return the node before one, if nothing else takes what it gives."""
    before = node.input_value(0)
    return before.get_node() if len(before.get_target_inputs()) == 1 else None


def _joins_channels(node):
    return node.get_type_name() == "Concat" and node.get_attributes()["axis"] in (1, -3)


def _leaves(output):
    """List the maps that make up what a convolution takes."""
    node = output.get_node()
    if not _joins_channels(node):
        return [output]
    return [leaf for each in node.input_values() for leaf in _leaves(each)]


def _uses(output, first=0):
    """List the convolutions that take a map, each with the place of its first channel there.

    None if something else takes it, too.
    """
    found = []
    for target in output.get_target_inputs():
        node = target.get_node()
        if _weights(node) is not None and target.get_index() == 0:
            found.append((node, first))
            continue
        if not _joins_channels(node):
            return None
        before = node.input_values()[: target.get_index()]
        others = _uses(node.output(0), first + sum(map(_channels, before)))
        if others is None:
            return None
        found += others
    return found


def _channels(output):
    return output.get_partial_shape()[1].get_length()
