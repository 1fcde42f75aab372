import io
import os
import pickle
import zipfile
from collections import OrderedDict
from functools import partial

import numpy as np
import pytest
from torch_files import KINDS, Storage, Tensor, write_legacy, write_zip

from gluon_enhance.errors import WeightsError
from gluon_enhance.weights.readers.torch import read_torch

approx = partial(pytest.approx, rel=1e-12)
both_formats = pytest.mark.parametrize("write", [write_zip, write_legacy])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


def refusal(path):
    with pytest.raises(WeightsError) as caught:
        read_torch(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@both_formats
@pytest.mark.parametrize("protocol", [2, 4])
def test_arrays_of_every_dtype_come_back_equal(path, write, protocol):
    rng = np.random.default_rng(0)
    state = OrderedDict((name, rng.integers(0, 2, (2, 3)).astype(name)) for name in KINDS)
    write(path, state, protocol)
    read = read_torch(path)
    assert list(read) == list(state)
    for name, array in state.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


@both_formats
def test_bfloat16_becomes_float32(path, write):
    data = np.array([0x3F80, 0xC020, 0x0000], "<u2").tobytes()
    write(path, {"x": Tensor(Storage("BFloat16Storage", data, 3), 0, (3,), (1,))})
    read = read_torch(path)["x"]
    assert read.dtype == np.float32
    assert read.tolist() == [1.0, -2.5, 0.0]


@both_formats
def test_strides_and_offsets_are_honoured(path, write):
    numbers = np.arange(10, dtype=np.float32)
    storage = Storage("FloatStorage", numbers.tobytes(), 10)
    write(
        path,
        {
            "transposed": Tensor(storage, 0, (3, 2), (1, 3)),
            "shifted": Tensor(storage, 4, (2,), (5,)),
            "expanded": Tensor(storage, 7, (2, 2), (0, 0)),
        },
    )
    read = read_torch(path)
    assert read["transposed"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert read["shifted"].tolist() == [4, 9]
    assert read["expanded"].tolist() == [[7, 7], [7, 7]]
    assert np.shares_memory(read["transposed"], read["shifted"])


@both_formats
def test_scalars_empty_arrays_and_plain_values_come_back(path, write):
    write(
        path,
        {
            "scalar": np.array(3.5),
            "empty": np.zeros((0, 4), np.float32),
            "epoch": 7,
            "params": OrderedDict(a=[1, 2.5, "t", None, True, (1, 2, 3, 4)]),
        },
    )
    read = read_torch(path)
    assert read["scalar"].shape == () and read["scalar"] == 3.5
    assert read["empty"].shape == (0, 4)
    assert read["epoch"] == 7
    assert read["params"] == {"a": [1, 2.5, "t", None, True, (1, 2, 3, 4)]}


def test_deflated_zips_are_read(path):
    state = {"x": np.random.default_rng(0).random(50)}
    write_zip(path, state, compression=zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(read_torch(path)["x"], state["x"])


class Attack:
    """Unpickled by Python, it would make a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@both_formats
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_file_that_would_run_code_is_refused_and_runs_none(path, tmp_path, write, protocol):
    write(path, {"x": Attack(tmp_path / "made")}, protocol)
    assert f"asks for '{os.mkdir.__module__}.mkdir'" in refusal(path)
    assert not (tmp_path / "made").exists()


@both_formats
def test_a_file_of_a_whole_module_is_refused_by_the_class_it_asks_for(path, write):
    write(path, io.BytesIO())
    assert "asks for '_io.BytesIO'" in refusal(path)


def test_known_functions_are_not_to_be_had_by_other_opcodes(path):
    # BUILD on a function would set its defaults; INST and OBJ would call classes.
    for data in (
        b"\x80\x02ctorch._utils\n_rebuild_tensor\n}b.",
        b"(icollections\nOrderedDict\n.",
        b"(ccollections\nOrderedDict\no.",
    ):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", data)
        assert "is cut short, damaged or not a PyTorch file" in refusal(path)


@both_formats
def test_a_truncated_file_is_refused_wherever_it_ends(path, write):
    write(path, {"x": np.ones((3, 3), np.float32), "y": np.ones(4)})
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert "cut short" in refusal(path)


@both_formats
@pytest.mark.parametrize(
    "view",
    [
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (0, (2, 2), (1, 3)),
        (3, (2,), (-1,)),
        (-1, (1,), (1,)),
        (0, (2,), (1, 1)),
        (0, (2**40, 2**40), (0, 0)),
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(path, write, view):
    write(path, {"x": Tensor(Storage("FloatStorage", bytes(16), 4), *view)})
    refusal(path)


@both_formats
@pytest.mark.parametrize("count", [5, 2**60, -1])
def test_a_storage_that_claims_more_than_the_file_holds_is_refused(path, write, count):
    write(path, {"x": Tensor(Storage("FloatStorage", bytes(16), count), 0, (1,), (1,))})
    refusal(path)


def test_a_zip_bomb_is_refused(path):
    write_zip(path, {"x": np.zeros(2_000_000)}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 50_000
    assert "unpacks to 16,000," in refusal(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"hello", pickle.dumps({"x": 1})])
def test_other_files_are_refused(path, content):
    path.write_bytes(content)
    assert "not a PyTorch file" in refusal(path)


def test_a_missing_file_is_refused(path):
    assert "cannot be read" in refusal(path)


@both_formats
def test_a_file_of_something_else_than_a_dict_is_refused(path, write):
    write(path, [np.ones(3)])
    assert "holds a list, not a state dict" in refusal(path)


@pytest.mark.reference
def test_legacy_file_of_srgan_reads_as_pytorch_does(reference_data):
    state = read_torch(reference_data / "weights/srgan/netG_epoch_4_100.pth")
    assert len(state) == 79
    assert state["block1.0.weight"].shape == (64, 3, 9, 9)
    # sums in float64 by PyTorch 2.13, torch.load(..., weights_only=True)
    assert np.sum(state["block1.0.weight"], dtype=np.float64) == approx(-48.168261962362976)
    assert np.sum(state["block8.2.bias"], dtype=np.float64) == approx(-0.43379687517881393)


@pytest.mark.reference
def test_zip_file_of_real_esrgan_reads_as_pytorch_does(reference_data):
    state = read_torch(reference_data / "weights/realesr-animevideov3.rezipped.pth")["params"]
    assert sum(array.size for array in state.values()) == 621_424  # 16 convolutions, calculated
    # sum in float64 by PyTorch 2.13, torch.load(..., weights_only=True)
    assert np.sum(state["body.2.weight"], dtype=np.float64) == approx(-198.3648851141188)
