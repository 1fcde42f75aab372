"""Symbol files of others, read without MXNet and made anew of what the table of operators allows.

A file is a program: MXNet would run any operator that it names, and trusts its indices. What MXNet
is given instead is a text of the nodes, inputs and attributes that were understood here, in the
form of today, whatever the version that saved the file.
"""

from __future__ import annotations

import json
from pathlib import Path

from gluon_enhance.engines import WAY_OUT
from gluon_enhance.errors import WeightsError, plural
from gluon_enhance.exporting.symbol_operators import (
    OLD_NAMES,
    OPERATORS,
    count_inputs,
    read_attributes,
)
from gluon_enhance.small_files import read_regular, read_small

LARGEST_FILE = 32 << 20
"""Bytes; the largest of the zoo's has 0.6 MB."""
MOST_NODES = 20_000
"""The deepest nets of the zoo have 1,810."""
LONGEST_NAME = 500
FIELDS = {"op", "name", "inputs", "attrs", "attr", "param", "backward_source_id"}
"""Of a node; the last is of no use to a net that only runs."""
EMPTY_FIELDS = {"subgraphs", "control_deps"}
"""Of a node, too, but nothing may be in them."""
AUXILIARIES = 900
"""From this version on, 0.9, the moving averages of a BatchNorm are among its inputs."""


def read_graph(path: Path, trust: bool = False) -> str:
    """Read a symbol file and return the JSON that MXNet may be given.

    Parameters
    ----------
    path : Path
    trust : bool
        Return the file's own text, of any operators.

    Returns
    -------
    str
        Nodes with ``op``, ``name``, ``attrs`` and ``inputs``, each after its inputs, and one head.

    Raises
    ------
    WeightsError
        If the file cannot be read, is no graph, or asks for what the table of operators lacks.
    """
    try:
        if trust:
            return read_regular(path).decode()
        graph = json.loads(
            read_small(path, LARGEST_FILE),
            parse_int=_integer,
            parse_float=_refuse,
            parse_constant=_refuse,
        )
        return json.dumps(_checked(graph))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from error
    except RecursionError:
        raise WeightsError(f"{path} is no net that is run here: it is nested too deep") from None
    except ValueError as error:
        raise WeightsError(
            f"{path} is no net that is run here: {error!s:.300}; {WAY_OUT}"
        ) from error


def _integer(text):
    """Read what is no longer than any index; long ones take time that grows by their square."""
    return int(text) if len(text) <= 12 else _refuse(text)


def _refuse(text):
    raise ValueError(f"{text[:20]} is among its numbers")


def _checked(graph):
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    if not isinstance(nodes, list) or not 0 < len(nodes) <= MOST_NODES:
        raise ValueError(f"it is not a list of 1 to {MOST_NODES} nodes")
    version = _version(graph)
    checked = []
    for node in nodes:
        checked.append(_node(node, checked, version))
    variables = [k for k, node in enumerate(checked) if node["op"] == "null"]
    names = [checked[k]["name"] for k in variables]
    if len(set(names)) < len(names):
        raise ValueError("two of its variables have one name")
    listed = graph.get("arg_nodes", variables)
    if not isinstance(listed, list) or not all(_is_index(k, len(nodes)) for k in listed):
        raise ValueError("its arg_nodes are not indices of its nodes")
    if not set(listed) <= set(variables):
        raise ValueError("its arg_nodes are not its variables")
    heads = graph.get("heads")
    if not isinstance(heads, list) or len(heads) != 1:
        raise ValueError("it does not have one output")
    return {
        "nodes": checked,
        "arg_nodes": variables,
        "heads": [_entry(heads[0], checked)],
        "attrs": {"mxnet_version": ["int", version]},
    }


def _version(graph):
    """Return the version of MXNet that saved it, as 10901 is 1.9.1; none was written before 0.9."""
    attrs = graph.get("attrs")
    written = attrs.get("mxnet_version") if isinstance(attrs, dict) else None
    if written is None:
        return AUXILIARIES - 1
    if not isinstance(written, list) or len(written) != 2 or not _is_index(written[1], 1 << 20):
        raise ValueError("its mxnet_version is not a number")
    return written[1]


def _node(node, earlier, version):
    """Check a node against the table; those before it are what it may take."""
    if not isinstance(node, dict):
        raise ValueError("a node is not a set of fields")
    unknown = [key for key in node if key not in FIELDS and (key not in EMPTY_FIELDS or node[key])]
    if unknown:
        raise ValueError(f"node {len(earlier)} has {unknown[0][:40]!r}, which nets do not need")
    op, name, inputs = node.get("op"), node.get("name"), node.get("inputs")
    if not isinstance(op, str) or not isinstance(name, str) or not isinstance(inputs, list):
        raise ValueError(f"node {len(earlier)} lacks its op, its name or its inputs")
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise ValueError(f"node {len(earlier)} has no name of 1 to {LONGEST_NAME} characters")
    entries = [_entry(one, earlier) for one in inputs]
    if op == "null":
        if entries:
            raise ValueError(f"variable {name[:60]!r} has inputs")
        return {"op": op, "name": name, "inputs": []}
    op = OLD_NAMES.get(op, op)
    if op not in OPERATORS:
        raise ValueError(f"it has operator {op[:40]!r}, which is not among those of image nets")
    try:
        values = read_attributes(op, _texts(node))
    except ValueError as error:
        raise ValueError(f"{op} {name[:60]!r}: {error}") from None
    _check_inputs(op, name, entries, values, earlier, version)
    # Of a tuple of one with its comma, as MXNet writes it.
    attrs = {key: str(value) for key, value in values.items()}
    return {"op": op, "name": name, "attrs": attrs, "inputs": entries}


def _texts(node):
    """Join the attributes of a node, which versions of MXNet have under three names."""
    texts = {}
    for key in ("param", "attr", "attrs"):
        some = node.get(key) or {}
        if not isinstance(some, dict) or not all(isinstance(text, str) for text in some.values()):
            raise ValueError(f"its {key} are not texts")
        texts.update(some)
    return texts


def _check_inputs(op, name, entries, values, earlier, version):
    needed = count_inputs(op, values)
    allowed = {needed, 3} if op == "BatchNorm" and version < AUXILIARIES else {needed}
    if len(entries) not in allowed or values.get("num_args", needed) != needed:
        raise ValueError(f"{op} {name[:60]!r} has {plural(len(entries), 'input')}, needs {needed}")
    if op == "BatchNorm" and any(earlier[k]["op"] != "null" for k, *_ in entries[1:]):
        raise ValueError(f"{op} {name[:60]!r} has statistics that are not weights")


def _entry(entry, nodes):
    """Check which output of which node this is; a third number is MXNet's own and is not used."""
    if (
        not isinstance(entry, list)
        or len(entry) not in (2, 3)
        or not _is_index(entry[0], len(nodes))
    ):
        raise ValueError("an input or output is not one of an earlier node")
    node, output = entry[:2]
    outputs = int(nodes[node].get("attrs", {}).get("num_outputs", 1))
    if not _is_index(output, outputs):
        raise ValueError(f"it uses output {output!s:.20} of {nodes[node]['name'][:60]!r}")
    return [node, output, 0]


def _is_index(value, count):
    return type(value) is int and 0 <= value < count  # True is an int to isinstance
