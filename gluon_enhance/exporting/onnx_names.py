"""Names in ONNX files, by which other programs address what MXNet numbers or leaves without one."""

from __future__ import annotations

IMAGE, RESULT = "image", "result"


def name_everything(graph) -> None:
    """Call the input ``image``, the output ``result``, the axes what they are, nodes as their maps.

    Parameters
    ----------
    graph : onnx.GraphProto
        Of one input and one output, (N, 3, H, W); changed in place.
    """
    swapped: dict[str, str] = {}
    for value, name in ((graph.input[0], IMAGE), (graph.output[0], RESULT)):
        # If something else has the name, it gets the former one in turn.
        swapped.update({name: value.name, value.name: name})
    _rename(graph, swapped)
    for node in graph.node:
        node.name = node.output[0]
    _name_axes(graph.input[0], ("batch", None, "height", "width"))
    _name_axes(graph.output[0], ("batch", None, "out_height", "out_width"))


def _rename(graph, names):
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for one in (*graph.input, *graph.output, *graph.initializer):
        one.name = names.get(one.name, one.name)


def _name_axes(value, names):
    for dim, name in zip(value.type.tensor_type.shape.dim, names):
        if name:
            dim.dim_param = name
        else:
            dim.dim_value = 3
