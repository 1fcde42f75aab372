"""Norms of an ONNX graph over more than a channel of an image, brought into one form."""

from __future__ import annotations

import numpy as np

NORM = "InstanceNormalization"

WRAPPED = (
    (("Unsqueeze", "Reshape", "Transpose"), ("Reshape", "Transpose"), (0, -1)),
    (("Reshape",), ("Reshape",), (0, 1, -1)),
)
"""How `models.layers.norms.MomentNorm` writes a norm over the batch, and over all channels: what
leads back from it to its map, what leads on, and the shape that the map gets between."""


def unwrap_norms(graph):
    """Replace norms between reshapes of their maps by norms that take and give these as they are.

    Of one image, a norm over the batch is an instance norm. One over all channels becomes a norm
    with a single gamma, which `gluon_enhance.whole_image.maps.gain_and_shift` knows; no engine
    could run it.

    Parameters
    ----------
    graph : onnx.GraphProto
        Changed in place.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    dropped = []
    for norm in [node for node in graph.node if node.op_type == NORM]:
        for back, on, shape in WRAPPED:
            before = _followed(norm, back, lambda node: [makers.get(node.input[0])])
            after = _followed(norm, on, lambda node: _users(graph, node))
            if before and after and shape in [_target(node, constants) for node in before]:
                norm.input[0], norm.output[0] = before[-1].input[0], after[-1].output[0]
                _give_weights(norm, graph, constants)
                dropped += after
                break
    _keep_used(graph, [node for node in graph.node if node not in dropped])


def _followed(node, kinds, step):
    """List the nodes of these kinds that lead from a node in turn; none if there are others."""
    found = []
    for kind in kinds:
        nodes = step(node)
        if len(nodes) != 1 or nodes[0] is None or nodes[0].op_type != kind:
            return []
        node = nodes[0]
        found.append(node)
    return found


def _users(graph, node):
    return [user for user in graph.node if node.output[0] in user.input]


def _target(node, constants):
    """Return the shape that a node gives to its map, if it is a constant."""
    from onnx import numpy_helper

    if node.op_type != "Reshape" or node.input[1] not in constants:
        return None
    return tuple(numpy_helper.to_array(constants[node.input[1]]).tolist())


def _give_weights(norm, graph, constants):
    """Give a norm over all channels its gamma and beta, which the graph makes at run time."""
    from onnx import numpy_helper

    for k, value in ((1, 1), (2, 0)):
        if norm.input[k] not in constants:
            norm.input[k] = f"{norm.output[0]}.{value}"
            array = np.full(1, value, np.float32)
            graph.initializer.append(numpy_helper.from_array(array, norm.input[k]))


def _keep_used(graph, nodes):
    """Leave out what made only the shapes and weights of norms."""
    needed, kept = {graph.output[0].name}, []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.insert(0, node)
    del graph.node[:]
    graph.node.extend(kept)
