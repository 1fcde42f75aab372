"""The order of axes within a segment of a net: its features come and go with their channels last.

Engines compute convolutions on channels that are last. What is done to each number by itself is
done before features are turned for a convolution, and after they are turned back: then an engine
finds nothing to turn.
"""

from __future__ import annotations

from gluon_enhance.whole_image.norms import NORM

POINTWISE = ("Add", "LeakyRelu", "Mul", "Relu", "Sigmoid", "Sub", "Tanh")
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
LAST = ".channels_last"


def channels_last(nodes: list, takes: list, gives: list, images: set) -> tuple[list, list, list]:
    """Rewrite a segment's nodes for features with channels last; norms become gains and shifts.

    Parameters
    ----------
    nodes : list of onnx.NodeProto
        In order. Norms take maps of earlier segments only.
    takes, gives : list of str
        Maps that come from earlier segments, and that later segments need.
    images : set of str
        Those that are images, and stay as they are.

    Returns
    -------
    nodes : list of onnx.NodeProto
    inputs, outputs : list of str
        Names of what is taken, then of each norm's gain and shift; and of what is given.
    """
    turned = _Turned(takes, images)
    inputs = [turned.last_name(name) for name in takes]
    for node in nodes:
        if node.op_type == NORM:
            gain, shift = (f"{node.output[0]}.{kind}" for kind in ("gain", "shift"))
            inputs += [gain, shift]
            turned.normalize(node, gain, shift)
        else:
            turned.add(node)
    return turned.nodes, inputs, [turned.to_last(name) for name in gives]


class _Turned:
    """Nodes so far, and which maps there are with channels first and last."""

    def __init__(self, takes, images):
        self.nodes = []
        self._images = images
        self._first = set(takes) & images
        self._last = set(takes) - images

    def last_name(self, name):
        return name if name in self._images else name + LAST

    def normalize(self, node, gain, shift):
        source, scaled = self.to_last(node.input[0]), f"{node.output[0]}.scaled"
        self._append("Mul", [source, gain], scaled)
        self._append("Add", [scaled, shift], self.last_name(node.output[0]))
        self._last.add(node.output[0])

    def add(self, node):
        """Add a node, on channels last if it can be there without turning anything."""
        if node.op_type in POINTWISE and all(name in self._last for name in node.input):
            copy = type(node)()
            copy.CopyFrom(node)
            copy.input[:] = [name + LAST for name in node.input]
            copy.output[:] = [name + LAST for name in node.output]
            self.nodes.append(copy)
            self._last.update(node.output)
            return
        for name in node.input:
            if name in self._last and name not in self._first:
                self._append("Transpose", [name + LAST], name, perm=TO_FIRST)
                self._first.add(name)
        self.nodes.append(node)
        self._first.update(node.output)

    def to_last(self, name):
        """Return the name of a map with channels last, which is made if need be."""
        if name not in self._last and name not in self._images:
            self._append("Transpose", [name], name + LAST, perm=TO_LAST)
            self._last.add(name)
        return self.last_name(name)

    def _append(self, kind, inputs, output, **attributes):
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
