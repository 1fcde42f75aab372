"""Model files that draw on other files are refused, wherever in them a tensor lies elsewhere."""

import re
import shutil

import numpy as np
import pytest

from gluon_enhance import engines
from gluon_enhance.engines import contained
from gluon_enhance.engines.contained import refuse_other_files
from gluon_enhance.errors import EngineError
from gluon_enhance.weights import store

onnx = pytest.importorskip("onnx")


def model_with(tensor):
    node = onnx.helper.make_node("Conv", ["data", "w"], ["out"], auto_pad="SAME_UPPER")
    axes = ("n", 3, "h", "w")
    ends = [onnx.helper.make_tensor_value_info(k, 1, axes) for k in ("data", "out")]
    graph = onnx.helper.make_graph([node], "net", ends[:1], ends[1:], [tensor])
    opsets = [onnx.helper.make_opsetid("", 13)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.fixture
def kernel():
    array = np.random.default_rng(0).random((3, 3, 3, 3), np.float32)
    return onnx.numpy_helper.from_array(array, "w")


@pytest.fixture
def elsewhere(kernel):
    """A tensor whose numbers lie in the file side.bin."""
    tensor = onnx.TensorProto()
    tensor.CopyFrom(kernel)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="side.bin")
    return tensor


def save(tmp_path, model, name="net.onnx"):
    (tmp_path / name).write_bytes(model.SerializeToString())
    return tmp_path / name


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_no_engine_loads_weights_from_a_file_beside_the_model(engine, tmp_path, kernel, elsewhere):
    pytest.importorskip(engine)
    (tmp_path / "side.bin").write_bytes(kernel.raw_data)
    engines.load(engine, save(tmp_path, model_with(kernel)), precision="fp32")
    with pytest.raises(EngineError, match=r"net\.onnx keeps tensors in other files"):
        engines.load(engine, save(tmp_path, model_with(elsewhere)), precision="fp32")


def in_attribute(model, tensor):
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["c"], value=tensor))


def in_list_of_attribute(model, tensor):
    model.graph.node.append(onnx.helper.make_node("Own", [], ["c"], value=[tensor, tensor]))


def in_subgraph(model, tensor):
    graph = onnx.helper.make_graph([], "branch", [], [], [tensor])
    model.graph.node.append(onnx.helper.make_node("If", ["x"], ["c"], then_branch=graph))


def in_sparse(model, tensor):
    model.graph.sparse_initializer.add().values.CopyFrom(tensor)


def in_function(model, tensor):
    node = onnx.helper.make_node("Constant", [], ["c"], value=tensor)
    model.functions.add(name="f").node.append(node)


def in_training(model, tensor):
    model.training_info.add().initialization.initializer.append(tensor)


@pytest.mark.parametrize(
    "put",
    [in_attribute, in_list_of_attribute, in_subgraph, in_sparse, in_function, in_training],
)
def test_a_tensor_elsewhere_is_found_at_any_place(put, tmp_path, kernel, elsewhere):
    for tensor, is_refused in ((kernel, False), (elsewhere, True)):
        model = model_with(kernel)
        put(model, tensor)
        path = save(tmp_path, model)
        if is_refused:
            with pytest.raises(EngineError, match="other files"):
                refuse_other_files(path)
        else:
            refuse_other_files(path)


def test_one_sign_of_a_tensor_elsewhere_is_enough(tmp_path, elsewhere):
    for field in ("data_location", "external_data"):
        tensor = onnx.TensorProto()
        tensor.CopyFrom(elsewhere)
        tensor.ClearField(field)
        with pytest.raises(EngineError, match="other files"):
            refuse_other_files(save(tmp_path, model_with(tensor)))


def test_the_word_location_in_names_is_no_sign(tmp_path, kernel):
    model = model_with(kernel)
    model.graph.doc_string = model.graph.name = "location"
    model.metadata_props.add(key="location", value="side.bin")
    refuse_other_files(save(tmp_path, model))


@pytest.mark.parametrize("tag", [b"\x3a", b"\xba\x80\x00", b"\xba\x80\x80\x80\x10"])
def test_longer_forms_of_numbers_hide_nothing(tag, tmp_path, kernel, elsewhere):
    """ONNX Runtime takes tags with bits above the 32nd, which it drops, and padded lengths."""
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "net.onnx"

    def write(model):
        content = model.graph.SerializeToString()
        length = len(content)
        assert 128 <= length < 1 << 14
        model.ClearField("graph")
        padded = bytes([length & 127 | 128, length >> 7 | 128, 0])
        path.write_bytes(model.SerializeToString() + tag + padded + content)

    write(model_with(kernel))
    onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    write(model_with(elsewhere))
    with pytest.raises(EngineError, match="other files"):
        refuse_other_files(path)


def test_the_table_of_fields_is_that_of_onnx():
    """Every field that leads to a tensor, by what the onnx package knows."""
    messages, expected = [onnx.ModelProto.DESCRIPTOR], {}
    while messages:
        message = messages.pop()
        holds = {f.number: f.message_type for f in message.fields if f.message_type}
        expected[message.name] = {number: kind.name for number, kind in holds.items()}
        messages += [kind for kind in holds.values() if kind.name not in expected]
    tensors = {"TensorProto"}
    while True:
        more = {k for k, fields in expected.items() if tensors.intersection(fields.values())}
        if more <= tensors:
            break
        tensors |= more
    leading = {
        kind: {number: held for number, held in expected[kind].items() if held in tensors}
        for kind in tensors
    }
    assert leading == contained.FIELDS
    fields = onnx.TensorProto.DESCRIPTOR.fields_by_name
    assert fields["external_data"].number == contained.EXTERNAL_DATA
    assert fields["data_location"].number == contained.DATA_LOCATION


def test_files_of_another_kind_than_their_suffix_are_refused(tmp_path, kernel):
    """OpenVINO goes by the content, and would read a .bin that no card lists."""
    openvino = pytest.importorskip("openvino")
    path = save(tmp_path, model_with(kernel))
    openvino.save_model(openvino.Core().read_model(path), tmp_path / "ir.xml")
    engines.load("openvino", tmp_path / "ir.xml")
    shutil.copy(tmp_path / "ir.xml", tmp_path / "ir.onnx")
    shutil.copy(path, tmp_path / "net.xml")
    for name in ("ir.onnx", "net.xml"):
        with pytest.raises(EngineError, match=rf"{re.escape(name)} is not an? "):
            engines.load("openvino", tmp_path / name)


@pytest.mark.parametrize(
    "content", [b"", b"\x3a", b"\x3a\x05", b"\xff" * 20, b"\x3a\x02\x0a\x7f", b"\x08\x08", b"\x0b"]
)
def test_damaged_files_are_refused(content, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineError, match="net.onnx is not an? ") as caught:
        refuse_other_files(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(EngineError, match="nowhere.onnx"):
        refuse_other_files(tmp_path / "nowhere.onnx")


def test_shipped_files_hold_all_they_need():
    for suffix in (".onnx", ".int8.xml"):
        refuse_other_files(store.find_shipped("esrgan_lite_x4", suffix))
