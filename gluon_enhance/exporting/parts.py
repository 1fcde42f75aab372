"""Cut an ONNX file at its norms, into parts that `gluon_enhance.bands` runs."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from functools import partial
from pathlib import Path

import numpy as np

from gluon_enhance import engines
from gluon_enhance.bands import TABLE, BandedNet, gain_and_shift
from gluon_enhance.errors import EngineError
from gluon_enhance.exporting.norms import NORM, unwrap_norms

RESHAPING = ("Reshape", "Squeeze", "Unsqueeze")

TOLERANCE = 1 / 255
"""Largest difference allowed between bands and the whole image, for outputs about 1."""

PROBE = 96
"""Width in pixels of the image that parts are tried on; it is twice as high."""

SHOCK = 1e4
"""Added to features to see how far they matter; float16 ends at 65504."""

_load = partial(engines.load, "auto", precision="fp32")


def split_onnx(path: str | os.PathLike, multiple: int = 1) -> Path:
    """Cut a net with norms over whole images into parts, and check them before they are final.

    Parameters
    ----------
    path : path
        ``NAME.onnx``, as `export_onnx` writes it.
    multiple : int
        As in `export_onnx`.

    Returns
    -------
    Path
        ``NAME.parts.zip`` beside it: an ONNX file for each part, and the table of parts.

    Raises
    ------
    EngineError
        If the net needs the whole image for more than the moments of channels, or the parts give
        what differs from the net by more than `TOLERANCE`.
    """
    import onnx

    path = Path(path)
    columns = -(-PROBE // multiple) * multiple
    image = np.random.default_rng(0).random((1, 3, 2 * columns, columns), np.float32)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".parts-") as folder:
        table = {"multiple": multiple, "parts": []}
        for k, (part, model) in enumerate(_cut(onnx.load(str(path)), path.name)):
            table["parts"].append({"file": f"{k}.onnx", **part})
            onnx.save(model, str(Path(folder, f"{k}.onnx")))
        table["rates"] = _measure(table, folder, image[0])
        draft = Path(folder, f"{path.stem}.parts.zip")
        with zipfile.ZipFile(draft, "w") as archive:
            archive.writestr(TABLE, json.dumps(table))
            for part in table["parts"]:
                archive.write(Path(folder, part["file"]), part["file"])
        banded, whole = BandedNet(draft, _load, 1), _load(path)
        sizes = image, np.ascontiguousarray(image[..., :columns, :])
        difference = np.max([np.abs(banded.run(x) - whole.run(x)).max() for x in sizes])
        if not difference <= TOLERANCE:
            raise EngineError(
                f"{path.name} in parts differs from the whole by {difference:.2g} (allowed "
                f"{TOLERANCE:.2g}); they were not kept"
            )
        return draft.replace(path.with_name(draft.name))


def _cut(model, name):
    """Yield the row of each part in the table, which lacks its halo, and the part as a model."""
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
        next_norms = [node for node in sum(groups[k + 1 : k + 2], []) if node.op_type == NORM]
        inputs, opening = _opening(used[k] - made, norms, ends)
        outputs, closing = _closing(made & ends.union(*used[k + 1 :]), next_norms, ends)
        body = [*opening, *(node for node in nodes if node.op_type != NORM), *closing]
        weights = {n: constants[n] for node in body for n in node.input if n in constants}
        part = helper.make_graph(body, f"part{k}", inputs, outputs, list(weights.values()))
        row = {
            "inputs": [value.name for value in inputs[: len(inputs) - 2 * len(norms)]],
            "norms": [_norm(node, constants) for node in norms],
            "outputs": [value.name for value in outputs],
        }
        options = {"opset_imports": model.opset_import, "ir_version": model.ir_version}
        yield row, helper.make_model(part, **options)


def _group(graph):
    """Group nodes by the number of norms on the way to them; a norm belongs to what follows it."""
    nodes, level = list(graph.node), {graph.input[0].name: 0}
    for node in nodes:
        levels = [level[name] for name in node.input if name in level]
        if levels and node.op_type != "Shape":
            level.update(dict.fromkeys(node.output, max(levels) + (node.op_type == NORM)))
    for k, node in reversed(list(enumerate(nodes))):
        if node.output[0] not in level:  # sizes, which are other ones in each part
            users = [user for user in nodes[k + 1 :] if node.output[0] in user.input]
            level[node.output[0]] = min(level[user.output[0]] for user in users)
    levels = [level[node.output[0]] for node in nodes]
    return [[n for n, own in zip(nodes, levels) if own == k] for k in range(max(levels) + 1)]


def _opening(takes, norms, ends):
    """List a part's inputs, stored maps first, and the nodes that make its maps of them."""
    from onnx import TensorProto, helper

    inputs, nodes = [], []
    for name in sorted(takes):
        if name in ends:
            inputs.append(_value(name))
        else:
            inputs.append(_value(f"{name}.half", TensorProto.FLOAT16))
            nodes.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    for norm in norms:
        name, gain, shift = (norm.input[0] + suffix for suffix in ("", ".gain", ".shift"))
        inputs += [_value(gain), _value(shift)]
        nodes.append(helper.make_node("Mul", [name, gain], [f"{name}.scaled"]))
        nodes.append(helper.make_node("Add", [f"{name}.scaled", shift], norm.output))
    return inputs, nodes


def _closing(gives, next_norms, ends):
    """List a part's outputs, maps to store first, and the nodes that make them of its maps."""
    from onnx import TensorProto, helper

    outputs, nodes = [], []
    for name in sorted(gives):
        if name in ends:
            outputs.append(_value(name))
        else:
            outputs.append(_value(f"{name}.half", TensorProto.FLOAT16))
            nodes.append(helper.make_node("Cast", [name], [f"{name}.half"], to=TensorProto.FLOAT16))
    for name in (norm.input[0] for norm in next_norms):
        mean, centered, square, variance = (
            f"{name}.{suffix}" for suffix in ("mean", "centered", "square", "variance")
        )
        nodes += [
            helper.make_node("ReduceMean", [name], [mean], axes=[3]),
            helper.make_node("Sub", [name, mean], [centered]),
            helper.make_node("Mul", [centered, centered], [square]),
            helper.make_node("ReduceMean", [square], [variance], axes=[3]),
        ]
        outputs += [_value(mean), _value(variance)]
    return outputs, nodes


def _value(name, kind=1):
    from onnx import helper

    return helper.make_tensor_value_info(name, kind, [None] * 4)


def _norm(node, constants):
    from onnx import numpy_helper

    gamma, beta = (numpy_helper.to_array(constants[name]).tolist() for name in node.input[1:])
    (epsilon,) = (attribute.f for attribute in node.attribute if attribute.name == "epsilon")
    return {"map": node.input[0], "gamma": gamma, "beta": beta, "epsilon": epsilon}


def _measure(table, folder, image):
    """Return the rates of maps, and write each part's halo into its row."""
    multiple, (_, height, width) = table["multiple"], image.shape
    first = table["parts"][0]["inputs"][0]
    maps, rates = {first: image}, {first: multiple}
    for part in table["parts"]:
        norms = [array for norm in part["norms"] for array in gain_and_shift(norm, maps)]
        compute = _load(Path(folder, part["file"])).compute
        outputs = compute([*(maps[name][None] for name in part["inputs"]), *norms])
        maps.update((name, output[0].copy()) for name, output in zip(part["outputs"], outputs))
        for name in part["outputs"]:
            # Layers pad and crop both axes alike, so the difference between them is only scaled.
            shape = maps[name.replace(".mean", ".half").replace(".variance", ".half")].shape
            rates[name] = (shape[1] - shape[2]) * multiple // (height - width)
        reach = _reach(compute, part, norms, maps, rates, height // multiple)
        if 2 * reach > width // multiple:
            raise EngineError(f"{part['file']} of the parts needs more than {PROBE} pixels around")
        part["halo"] = reach * multiple
    return rates


def _reach(compute, part, norms, maps, rates, height):
    """Count how far beyond its edges a band's outputs depend on maps, in multiples of pixels."""
    rng = np.random.default_rng(0)

    def shocked(name, at_top):
        rows = slice(rates[name]) if at_top else slice(-rates[name], None)
        array = maps[name].copy()
        array[:, rows] += rng.choice([-SHOCK, SHOCK], array[:, rows].shape).astype(array.dtype)
        return array[None]

    reach = [0]
    for at_top in (True, False):
        outputs = compute([*(shocked(name, at_top) for name in part["inputs"]), *norms])
        for name, output in zip(part["outputs"], outputs):
            changed = np.flatnonzero((output[0] != maps[name]).any(axis=(0, 2))) // rates[name]
            if changed.size:
                reach.append(changed[-1] if at_top else height - 1 - changed[0])
    return int(max(reach))
