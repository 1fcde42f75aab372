"""Cut an ONNX file at its norms, into segments that `gluon_enhance.whole_image.runner` runs."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from gluon_enhance import engines
from gluon_enhance.atomic import publish
from gluon_enhance.errors import EngineError
from gluon_enhance.whole_image.channels_last import channels_last
from gluon_enhance.whole_image.maps import gain_and_shift, row_axis, row_moments
from gluon_enhance.whole_image.norms import NORM, unwrap_norms
from gluon_enhance.whole_image.runner import PROBE, TABLE, StripNet

RESHAPING = ("Reshape", "Squeeze", "Unsqueeze")

SIDES = (PROBE, 2 * PROBE)
"""Pixels across the images that segments are measured on: twice what they need around at most."""

TOLERANCE = 1 / 255
"""Largest difference allowed between strips and the whole image, for outputs about 1."""

DISTURBANCE = 1e4
"""Added to features to see how far they matter; float16 ends at 65504."""

_load = partial(engines.load, "auto", precision="fp32", trusted=True)


def split_onnx(path: str | os.PathLike, unit: int = 1) -> Path:
    """Cut a net with norms over whole images into segments, and check them before they are final.

    Parameters
    ----------
    path : path
        ``NAME.onnx``, as `export_onnx` writes it.
    unit : int
        Pixels of which the places where strips begin are multiples: the net's multiple and stride.

    Returns
    -------
    Path
        ``NAME.segments.zip`` beside it: an ONNX file for each segment, and the table of segments.

    Raises
    ------
    EngineError
        If the net needs the whole image for more than the moments of channels, or the segments give
        what differs from the net by more than `TOLERANCE`.
    """
    import onnx

    path = Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".segments-") as folder:
        table: dict[str, Any] = {"multiple": unit, "segments": []}
        for k, (segment, model) in enumerate(_cut(onnx.load(str(path)), path.name)):
            table["segments"].append({"file": f"{k}.onnx", **segment})
            onnx.save(model, str(Path(folder, f"{k}.onnx")))
        image = _measured(table, folder)
        columns = image.shape[3]
        draft = Path(folder, f"{path.stem}.segments.zip")
        with zipfile.ZipFile(draft, "w") as archive:
            archive.writestr(TABLE, json.dumps(table))
            for segment in table["segments"]:
                archive.write(Path(folder, segment["file"]), segment["file"])
        in_strips, whole = StripNet(draft, _load, 1, columns=columns // 3), _load(path)
        sizes = image, np.ascontiguousarray(image[..., :columns, :])
        difference = np.max([np.abs(in_strips.run(x) - whole.run(x)).max() for x in sizes])
        if not difference <= TOLERANCE:
            raise EngineError(
                f"{path.name} in segments differs from the whole by {difference:.2g} (allowed "
                f"{TOLERANCE:.2g}); they were not kept"
            )
        target = path.with_name(draft.name)
        publish(draft, target)
        return target


def _cut(model, name):
    """Yield each segment as a row of the table, without its halo, and as a model."""
    from onnx import helper

    graph = model.graph
    unwrap_norms(graph)
    reshaped = {n for node in graph.node if node.op_type in RESHAPING for n in node.output}
    if any(node.op_type == NORM and node.input[0] in reshaped for node in graph.node):
        raise EngineError(
            f"{name} has norms over groups of channels, which cannot be cut; it runs on images "
            "that are one tile only"
        )
    ends = {graph.input[0].name, graph.output[0].name}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    groups = _group(graph)
    used = [{n for node in nodes for n in node.input} - {"", *constants} for nodes in groups]
    for k, nodes in enumerate(groups):
        made = {n for node in nodes for n in node.output}
        norms = [node for node in nodes if node.op_type == NORM]
        takes = sorted(used[k] - made)
        gives = sorted(made & ends.union(*used[k + 1 :]))
        body, inputs, outputs = channels_last(nodes, takes, gives, ends)
        weights = {n: constants[n] for node in body for n in node.input if n in constants}
        values = ([_value(name) for name in names] for names in (inputs, outputs))
        segment = helper.make_graph(body, f"segment{k}", *values, list(weights.values()))
        row = {
            "inputs": takes,
            "norms": [_norm(node, constants) for node in norms],
            "outputs": gives,
        }
        options = {"opset_imports": model.opset_import, "ir_version": model.ir_version}
        yield row, helper.make_model(segment, **options)


def _group(graph):
    """Group nodes by the number of norms on the way to them; a norm belongs to what follows it."""
    nodes, level = list(graph.node), {graph.input[0].name: 0}
    for node in nodes:
        levels = [level[name] for name in node.input if name in level]
        if levels and node.op_type != "Shape":
            level.update(dict.fromkeys(node.output, max(levels) + (node.op_type == NORM)))
    for k, node in reversed(list(enumerate(nodes))):
        if node.output[0] not in level:  # sizes, which are other ones in each segment
            users = [user for user in nodes[k + 1 :] if node.output[0] in user.input]
            level[node.output[0]] = min(level[user.output[0]] for user in users)
    levels = [level[node.output[0]] for node in nodes]
    return [[n for n, own in zip(nodes, levels) if own == k] for k in range(max(levels) + 1)]


def _value(name):
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4)


def _norm(node, constants):
    from onnx import numpy_helper

    gamma, beta = (numpy_helper.to_array(constants[name]).tolist() for name in node.input[1:])
    (epsilon,) = (attribute.f for attribute in node.attribute if attribute.name == "epsilon")
    return {"map": node.input[0], "gamma": gamma, "beta": beta, "epsilon": epsilon}


def _measured(table, folder):
    """Write rates and halos into a table of segments; return an image wide enough for that.

    Raises
    ------
    EngineError
        If none is: a segment needs too many pixels around.
    """
    unit = table["multiple"]
    for side in SIDES:
        columns = -(-side // unit) * unit
        image = np.random.default_rng(0).random((1, 3, 2 * columns, columns), np.float32)
        table["rates"] = _measure(table, folder, image)
        if all(2 * segment["halo"] <= columns for segment in table["segments"]):
            return image
    raise EngineError(f"a segment needs more than {SIDES[-1] // 2} pixels around")


def _measure(table, folder, image):
    """Return the rates of maps, and write each segment's halo into its row."""
    multiple, (height, width) = table["multiple"], image.shape[2:]
    first = table["segments"][0]["inputs"][0]
    maps, moments, rates = {first: image}, {}, {first: multiple}
    for segment in table["segments"]:
        norms = [array for norm in segment["norms"] for array in gain_and_shift(norm, moments)]
        engine = _load(Path(folder, segment["file"]))
        as_features = segment is not table["segments"][-1]
        compute = partial(engine.compute, as_features=as_features)
        outputs = compute([*(maps[name] for name in segment["inputs"]), *norms])
        for name, output in zip(segment["outputs"], outputs):
            maps[name] = output.copy()
            # Layers pad and crop both axes alike, so the difference between them is only scaled.
            rows, columns = output.shape[row_axis(output) :][:2]
            rates[name] = (rows - columns) * multiple // (height - width)
            if as_features:
                moments[name] = row_moments(output[0])
        radius = _dependency_radius(
            compute, segment, norms, maps, rates, (height // multiple, width // multiple)
        )
        segment["halo"] = radius * multiple
    return rates


def _dependency_radius(compute, segment, norms, maps, rates, size):
    """Count how far beyond its edges a strip's outputs depend on maps, in multiples of pixels."""
    rng = np.random.default_rng(0)

    def disturbed(name, axis, at_start):
        array = maps[name].copy()
        lines = array.swapaxes(0, row_axis(array) + axis)
        lines = lines[: rates[name]] if at_start else lines[-rates[name] :]
        lines += rng.choice([-DISTURBANCE, DISTURBANCE], lines.shape).astype(array.dtype)
        return array

    distances = [0]
    for axis, at_start in product((0, 1), (True, False)):
        inputs = [disturbed(name, axis, at_start) for name in segment["inputs"]]
        outputs = compute([*inputs, *norms])
        for name, output in zip(segment["outputs"], outputs):
            differs = (output != maps[name]).swapaxes(0, row_axis(output) + axis)
            changed = np.flatnonzero(differs.any(axis=(1, 2, 3))) // rates[name]
            if changed.size:
                distances.append(changed[-1] if at_start else size[axis] - 1 - changed[0])
    return int(max(distances))
