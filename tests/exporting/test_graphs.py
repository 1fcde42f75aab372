"""Symbol files as programs of strangers: what is run, in which old forms, and what is refused."""

import json
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

mxnet = pytest.importorskip("mxnet", reason="MXNet is not installed")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance import exporting, zoo  # noqa: E402
from gluon_enhance.engines import load  # noqa: E402
from gluon_enhance.errors import EngineError, WeightsError  # noqa: E402
from gluon_enhance.exporting import symbol_shapes  # noqa: E402
from gluon_enhance.exporting.symbol import load_pair, measured_pair  # noqa: E402
from gluon_enhance.exporting.symbol_graph import MOST_NODES, read_graph  # noqa: E402
from gluon_enhance.exporting.symbol_operators import OLD_NAMES, OPERATORS, read_attributes  # noqa: E402
from gluon_enhance.forms import EXPORTING, PLAIN, set_form  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402

CONV = {"kernel": "(1, 1)", "num_filter": "3"}
WEIGHTS = {"weight": (3, 3, 1, 1), "bias": (3,), "vector": (3,)}
SHIPPED = [name for name in ge.list_models() if zoo.get_spec(name).weights_kind == "shipped"]


def node(op, *inputs, name=None, **attrs):
    entries = [[one, 0, 0] for one in inputs]
    return {"op": op, "name": name or op.lower(), "attrs": attrs, "inputs": entries}


def graph(*nodes, head=None, version=10901):
    """Put nodes behind the variables data, weight, bias and vector, which are nodes 0 to 3."""
    variables = [node("null", name=name) for name in ("data", *WEIGHTS)]
    last = len(variables) + len(nodes) - 1
    return {
        "nodes": [*variables, *nodes],
        "arg_nodes": [0, 1, 2, 3],
        "heads": [[last, 0, 0] if head is None else head],
        "attrs": {"mxnet_version": ["int", version]},
    }


def conv(**attrs):
    return node("Convolution", 0, 1, 2, name="conv", **{**CONV, **attrs})


def chain(op, count, **attrs):
    return [node(op, k + 3 if k else 0, name=f"n{k}", **attrs) for k in range(count)]


ADDRESS = "0x4141414141414141"

#: What is wrong -> the graph, and what its refusal says.
ATTACKS = {
    "an address to call": (
        graph(node("_Native", 0, info=ADDRESS, need_top_grad="False")),
        "operator '_Native'",
    ),
    "an address to call, of arrays": (graph(node("_NDArray", 0, info=ADDRESS)), "'_NDArray'"),
    "code of Python's": (graph(node("Custom", 0, op_type="x")), "operator 'Custom'"),
    "a loop": (
        {**graph(), "nodes": [{**node("_foreach", 0), "subgraphs": [graph()]}]},
        "has 'subgraphs'",
    ),
    "a head after the last node": (graph(conv(), head=[99, 0, 0]), "not one of an earlier node"),
    "a head before the first": (graph(conv(), head=[-1, 0, 0]), "not one of an earlier node"),
    "an output that is not there": (graph(conv(), head=[4, 7, 0]), "uses output 7"),
    "an input after its node": (graph(node("relu", 9)), "not one of an earlier node"),
    "a node of itself": (graph(node("relu", 4)), "not one of an earlier node"),
    "an argument after the last node": (
        {**graph(conv()), "arg_nodes": [0, 1, 2, 99]},
        "arg_nodes",
    ),
    "an argument that is computed": ({**graph(conv()), "arg_nodes": [4]}, "arg_nodes"),
    "no inputs": (graph(node("Convolution", **CONV)), "has 0 inputs, needs 3"),
    "no groups": (graph(conv(num_group="0")), "num_group='0'"),
    "groups that do not divide": (graph(conv(num_group="2")), "does not divide"),
    "a stride of 0": (graph(conv(stride="(0, 0)")), r"stride='\(0, 0\)'"),
    "a kernel of no size": (graph(conv(kernel="()")), r"kernel='\(\)'"),
    "an unknown attribute": (graph(conv(subgraph=ADDRESS)), "attribute 'subgraph'"),
    "a number that is none": (graph(node("_mul_scalar", 0, scalar="nan")), "scalar='nan'"),
    "a split into halves of 0": (
        graph(node("Reshape", 0, shape="(0, -4, 0, -1, 0, 0)")),
        "shape=",
    ),
    "a size of 2 ** 64": (graph(node("Reshape", 0, shape=str((65536,) * 4 + (-1,)))), "shape="),
    "a constant of 5 GB": (graph(node("_zeros", shape="(1000000000,)")), "shape="),
    "a constant of 2 TB by axes": (
        graph(node("_zeros", shape="(8192, 8192, 8192)"), node("broadcast_add", 0, 4)),
        "numbers|does not fit",
    ),
    "a bilinear enlargement of no channels": (
        graph(
            node("_ones", name="filters", shape="(3, 1, 4, 4)"),
            node("UpSampling", 0, 4, scale="2", sample_type="bilinear", num_args="2"),
        ),
        "num_filter=0, not the 3 channels",
    ),
    "constants that are large together": (
        graph(
            *[node("_ones", name=f"ones{k}", shape="(3, 2048, 2048)") for k in range(6)],
            node("Concat", *range(4, 10), num_args="6", dim="0"),
            node("mean", 10, axis="(0, 1, 2)", keepdims="True"),
            node("Reshape", 11, shape="(1, 1, 1, 1)"),
            node("broadcast_mul", 0, 12),
        ),
        r"makes [\d,]+ numbers of no image at all",
    ),
    "16 times 16 times 16": (
        graph(*chain("UpSampling", 3, scale="16", sample_type="nearest", num_args="1")),
        "UpSampling .n2. makes maps of",
    ),
    "all pixels by all": (
        graph(
            node("Reshape", 0, shape="(0, 0, -1)"),
            node("batch_dot", 4, 4, name="all", transpose_a="True"),
            node("max", 5, axis="(1, 2)", keepdims="True"),
            node("expand_dims", 6, axis="3"),
            node("broadcast_mul", 0, 7),
        ),
        "no image needs that",
    ),
    "work without end": (
        graph(*chain("Pooling", 40, kernel="(64, 64)", pad="(32, 32)", pool_type="max")),
        r"takes [\d,]+ products",
    ),
    "a reshape to fewer numbers": (
        graph(node("Reshape", 0, shape="(1, 1)", target_shape="(0, 0)")),
        "does not fit|does not keep all its numbers",
    ),
    "maps in the place of weights": (
        graph(node("InstanceNorm", 0, 0, 0)),
        "weights that are not one a channel",
    ),
    "fewer weights than groups": (
        graph(
            node("Concat", 0, 0, num_args="2", dim="1"),
            node("GroupNorm", 4, 2, 3, num_groups="6"),
        ),
        "GroupNorm 'groupnorm' has weights that are not one a channel",
    ),
    "an axis twice, which leaves the result unwritten": (
        graph(node("transpose", 0, axes="(0, 1, 2, 2)")),
        r"axes='\(0, 1, 2, 2\)'",
    ),
    "weights of another shape": (graph(conv(kernel="(3, 3)")), "does not fit"),
    "more nodes than any net": (graph(*chain("relu", MOST_NODES)), f"1 to {MOST_NODES} nodes"),
    "an endless name": (graph(node("relu", 0, name="a" * 10**6)), "no name of 1 to 500"),
    "a name of codes": (graph(node("relu", 0, name="\x1b[2J")), "no name of 1 to 500"),
    "one name twice": (graph(node("null", name="data"), conv()), "have one name"),
    "a number in the place of a text": (graph(conv(num_group=1)), "are not texts"),
    "no nodes": ({**graph(), "nodes": []}, "not a list"),
    "a node that is none": ({**graph(), "nodes": [5]}, "not a set of fields"),
    "two outputs": ({**graph(conv()), "heads": [[4, 0, 0], [0, 0, 0]]}, "not have one output"),
    "a list": ([], "not a list of"),
}


def write(folder, content, **weights):
    """Write a pair with the weights that the graph uses: ones, but for those given."""
    symbol, params = folder / "net-symbol.json", folder / "net-0000.params"
    text = json.dumps(content)
    symbol.write_text(text)
    used = [name for k, name in enumerate(WEIGHTS, 1) if f"[{k}, 0, 0]" in text]
    ones = {f"arg:{name}": mx.nd.ones(WEIGHTS[name]) for name in used}
    mx.nd.save(str(params), {**ones, **{name: mx.nd.array(one) for name, one in weights.items()}})
    return symbol, params


TRY = """
import sys
from pathlib import Path
from gluon_enhance.errors import WeightsError
from gluon_enhance.exporting.symbol import load_pair
for folder in sorted(Path(sys.argv[1]).iterdir()):
    try:
        load_pair(folder / "net-symbol.json", folder / "net-0000.params")
        print("taken")
    except WeightsError as error:
        print(str(error).replace(chr(10), " // "))
"""


RUN = """
import sys
from pathlib import Path
from gluon_enhance.errors import EngineError, WeightsError
from gluon_enhance.exporting.symbol import load_pair
from gluon_enhance.framework import mx
taken = 0
for folder in sorted(Path(sys.argv[1]).iterdir()):
    try:
        net = load_pair(folder / "net-symbol.json", folder / "net-0000.params")
        net(mx.nd.ones((1, 3, 16, 16))).asnumpy()
        taken += 1
    except (EngineError, WeightsError, mx.MXNetError, ValueError):
        pass
print(taken)
"""


def mutant(rng):
    """Put one or two operators of the table, with random attributes, behind a convolution."""
    nodes = [conv()]
    for k in range(4, 4 + rng.integers(1, 3)):
        op = rng.choice(list(OPERATORS))
        attrs = {key: str(rng.choice(TEXTS)) for key in OPERATORS[op].attributes}
        read = {key: text for key, text in attrs.items() if is_read(op, key, text)}
        sure = OPERATORS[op].required
        kept = {key: text for key, text in read.items() if key in sure or rng.random() < 0.5}
        inputs = OPERATORS[op].inputs
        count = inputs if isinstance(inputs, int) else int(rng.integers(1, 4))
        nodes.append(node(str(op), *rng.choice([k, k, 2, 0], count).tolist(), name=f"n{k}", **kept))
    return graph(*nodes)


def is_read(op, key, text):
    try:
        OPERATORS[op].attributes[key](text)
    except ValueError:
        return False
    return True


def flip_a_bit(path, rng):
    data = bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    path.write_bytes(data)


TEXTS = ["0", "1", "2", "-1", "0.5", "16384", "True", "None", "()", "(1, 1)", "(3, 3)", "(0, 1)",
         "(1, -1)", "(0, -3, 0)", "(0, 0, 0, 0, 3, 3, 3, 3)", "(64, 64)", "reflect", "edge", "max",
         "prelu", "nearest", "bilinear", "size", "relu", "float16", "2147483647"]  # fmt: skip


def test_nothing_that_is_taken_ends_the_process(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(900):
        (tmp_path / f"{k:03}").mkdir()
        pair = write(tmp_path / f"{k:03}", mutant(rng))
        if k % 3 == 0:
            flip_a_bit(pair[rng.integers(2)], rng)
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]
    assert 100 < int(result.stdout) < 800  # some are taken, others refused


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """Have another process try all attacks, which would end with the first that it runs."""
    folder = tmp_path_factory.mktemp("attacks")
    for k, (content, _) in enumerate(ATTACKS.values()):
        (folder / f"{k:03}").mkdir()
        write(folder / f"{k:03}", content)
    command = [sys.executable, "-c", TRY, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]
    return dict(zip(ATTACKS, result.stdout.splitlines()))


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_no_image_net_needs_is_refused_in_one_line_that_names_it(attack, refusals):
    message = refusals[attack]
    assert "net-symbol.json" in message and "//" not in message and len(message) < 1000
    assert re.search(ATTACKS[attack][1], message), message


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"nodes": ' + "9" * 100_000 + "}", "{", '{"nodes": [NaN]}', "\xff"]
)
def test_texts_that_are_no_graph_are_refused(text, tmp_path):
    path = tmp_path / "net-symbol.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(WeightsError, match="net-symbol.json is no net that is run here"):
        read_graph(path)


def test_files_larger_than_any_net_are_not_read(tmp_path):
    path = tmp_path / "net-symbol.json"
    with open(path, "wb") as file:
        file.truncate(40 << 20)
    with pytest.raises(WeightsError, match="more than 32 MiB"):
        read_graph(path)


@pytest.mark.parametrize("key", ["attrs", "attr", "param"])
def test_attributes_under_the_names_of_all_versions_count(key, tmp_path):
    """Each pixel of the result is the sum of 3 ones times 2, and a bias of 5, then doubled."""
    content = graph(conv(), node("_mul_scalar", 4, scalar="2"))
    for one in content["nodes"]:
        one[key] = one.pop("attrs")
    pair = write(
        tmp_path, content, **{"arg:weight": np.full((3, 3, 1, 1), 2.0), "arg:bias": [5] * 3}
    )
    result = load_pair(*pair)(mx.nd.ones((1, 3, 4, 5))).asnumpy()
    assert result.shape == (1, 3, 4, 5) and np.all(result == 2 * (3 * 2 + 5))


def test_a_part_of_an_image_whose_ends_are_left_open_is_taken(tmp_path):
    """MXNet writes None for an end that is the image's."""
    ends = {"begin": "(None, None, 1, None)", "end": "(None, None, None, -1)"}
    row = node("slice_axis", 4, axis="3", begin="1", end="None")
    pair = write(tmp_path, graph(node("slice", 0, step="(None, None, 2, 1)", **ends), row))
    image = np.random.default_rng(0).random((1, 3, 6, 5), np.float32)
    assert np.array_equal(load_pair(*pair)(mx.nd.array(image)).asnumpy(), image[:, :, 1::2, 1:-1])


def test_a_norm_saved_before_moving_averages_were_inputs_uses_them(tmp_path):
    """MXNet 0.8 wrote no version, two numbers for an input, and other names of operators."""
    norm = {**node("BatchNorm", 0, 2, 3, name="norm", fix_gamma="False"), "backward_source_id": -1}
    norm["param"] = {**norm.pop("attrs"), "eps": "0.001"}
    content = graph(norm, node("_PlusScalar", 4, scalar="1"))
    for one in content["nodes"]:
        one["inputs"] = [entry[:2] for entry in one["inputs"]]
    content["heads"] = [[5, 0]]
    del content["attrs"]
    mean, variance = np.float32([0.1, 0.2, 0.3]), np.float32([1, 4, 9])
    pair = write(
        tmp_path,
        content,
        **{"arg:bias": [1, 2, 3], "arg:vector": [5, 6, 7]},
        **{"aux:norm_moving_mean": mean, "aux:norm_moving_var": variance},
    )
    result = load_pair(*pair)(mx.nd.ones((1, 3, 2, 2))).asnumpy()
    expected = [1, 2, 3] * (1 - mean) / np.sqrt(variance + 1e-3) + [5, 6, 7] + 1
    assert np.abs(result[0, :, 1, 1] - expected).max() < 1e-5


@pytest.mark.parametrize("form", [PLAIN, EXPORTING])
@pytest.mark.parametrize("name", SHIPPED)
def test_graphs_of_shipped_models_are_taken_as_they_are(name, form, tmp_path):
    net = ge.get_model(name, pretrained=False)
    set_form(net, form)
    path = tmp_path / "net-symbol.json"
    traced = net(mx.sym.var("data"))
    traced.save(str(path))
    nodes = json.loads(mx.sym.load_json(read_graph(path)).tojson())["nodes"]
    expected = json.loads(traced.tojson())["nodes"]
    assert [meaning(one) for one in nodes] == [meaning(one) for one in expected]


def meaning(one):
    """Return what of a node decides its result."""
    attrs = one.get("attrs", {}) if one["op"] != "null" else {}
    values = read_attributes(one["op"], attrs) if attrs else {}
    return one["op"], one["name"], [entry[:2] for entry in one["inputs"]], values


def test_all_operators_of_the_table_are_mxnets():
    names = set(mx.operator.get_all_registered_operators())
    assert OPERATORS.keys() <= names and set(OLD_NAMES.values()) <= OPERATORS.keys()


def beside(*made, of=4):
    """Add the mean of a map to the image, which makes an image of any size of it."""
    last = of + len(made) - 1
    return [
        *made,
        node("mean", last, name="mean", axis="(0, 1, 2, 3)", keepdims="True"),
        node("broadcast_add", 0, last + 1, name="sum"),
    ]


#: What goes wrong for some sizes -> the nodes, an image's shape, and what the refusal says.
FOR_SOME_SIZES = {
    "a reshape that would read beyond its map": (
        beside(
            node("slice", 0, begin="(0, 0, 0, 0)", end="(1, 3, 256, 256)"),
            node("Reshape", 4, name="beyond", shape="(1, 3, 256, 256)"),
        ),
        (1, 3, 255, 256),
        "Reshape 'beyond' does not keep all its numbers",
    ),
    "a map of the width by the width": (
        beside(
            node("slice", 0, begin="(0, 0, 0, 0)", end="(1, 1, 1, None)"),
            node("transpose", 4, axes="(0, 1, 3, 2)"),
            node("broadcast_mul", 4, 5),
        ),
        (1, 3, 2, 20_000),
        r"holds [\d,]+ numbers at once",
    ),
    "a norm of as many weights as larger images have channels": (
        beside(
            node("slice", 0, begin="(0, 0, 0, 0)", end="(1, 3, None, 3)"),
            node("transpose", 4, axes="(0, 3, 1, 2)"),
            node("BatchNorm", 5, 2, 3, 2, 3, name="norm"),
        ),
        (1, 3, 8, 2),
        "BatchNorm 'norm' has weights that are not one a channel",
    ),
}


@pytest.mark.parametrize("case", FOR_SOME_SIZES)
def test_each_size_of_image_is_checked_before_mxnet_runs_it(case, tmp_path):
    nodes, shape, message = FOR_SOME_SIZES[case]
    engine = load("mxnet", load_pair(*write(tmp_path, graph(*nodes))))
    image = np.zeros((1, 3, 256, 256), np.float32)
    assert engine.run(image).shape == image.shape
    for _ in range(2):  # what was refused is not known as passed
        with pytest.raises(EngineError, match=f"net-symbol.json is no net .*{message}.*--trust"):
            engine.run(np.zeros(shape, np.float32))


def test_sizes_that_passed_are_not_checked_again(tmp_path, monkeypatch):
    net = load_pair(*write(tmp_path, graph(conv())))
    image = mx.nd.zeros((2, 3, 5, 7))
    net(image)
    monkeypatch.setattr(symbol_shapes, "_shapes", None)
    assert net(image).shape == image.shape


def test_a_net_is_measured_on_no_size_that_does_not_pass(tmp_path):
    """Those that are tried are smaller than what its Reshape makes maps of."""
    nodes, _, message = FOR_SOME_SIZES["a reshape that would read beyond its map"]
    pair = write(tmp_path, graph(*nodes))
    with pytest.raises(EngineError, match=message):
        measured_pair(*pair)


def test_a_trusted_net_is_not_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(symbol_shapes, "_shapes", None)
    net = load_pair(*write(tmp_path, graph(conv())), trust=True)
    assert net(mx.nd.zeros((1, 3, 5, 7))).shape == (1, 3, 5, 7)


def test_what_mxnet_finds_when_it_runs_is_an_error_of_one_line(tmp_path):
    """It does not ask for equal shapes before it stacks."""
    narrow = node("slice", 0, name="narrow", begin="(0, 0, 0, 1)", end="(1, 3, None, None)")
    stack = node("stack", 0, 4, num_args="2", axis="0")
    engine = load("mxnet", load_pair(*write(tmp_path, graph(narrow, stack))))
    with pytest.raises(EngineError, match=r"MXNet cannot run images of \(1, 3, 8, 8\): .*shape"):
        engine.run(np.zeros((1, 3, 8, 8), np.float32))


def test_a_net_without_weights_is_measured(tmp_path):
    twice = node("UpSampling", 0, scale="2", sample_type="nearest", num_args="1")
    assert measured_pair(*write(tmp_path, graph(twice))).spec.scale == 2


def test_what_is_converted_of_a_strangers_net_is_checked_before_an_engine_runs_it(
    tmp_path, monkeypatch
):
    given = []

    def note(*args, trusted, **options):
        given.append(trusted)
        return SimpleNamespace(run=None)

    monkeypatch.setattr(exporting.engines, "load", note)
    monkeypatch.setattr(exporting.engines, "is_installed", lambda name: name == "onnxruntime")
    monkeypatch.setattr(exporting, "compare", lambda *args: None)
    for trust in (True, False):
        net = load_pair(*write(tmp_path, graph(conv())), trust=trust)
        exporting.export_onnx(net, tmp_path / "net.onnx")
    assert given == [True, False]
