import struct

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.errors import WeightsError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.weights.readers.gluon import read_params, save_arrays, write_params  # noqa: E402


def refusal(function, *arguments):
    with pytest.raises(WeightsError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_truncated_files_are_refused(tmp_path, rng):
    path = write_params(tmp_path / "net.params", {"head.weight": rng.random((3, 40))})
    whole = path.read_bytes()
    for length in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "cut short" in refusal(read_params, path)


def test_files_that_hold_a_list_or_are_not_there_are_refused(tmp_path):
    mx.nd.save(str(tmp_path / "list.params"), [mx.nd.zeros(3)])
    assert "without names" in refusal(read_params, tmp_path / "list.params")
    assert "nowhere.params" in refusal(read_params, tmp_path / "nowhere.params")


def test_written_params_come_back_and_replace_the_old_file(tmp_path, rng):
    arrays = {"head.weight": rng.random((3, 2), np.float32), "mean": rng.random(3, np.float32)}
    path = tmp_path / "deep" / "net.params"
    for _ in range(2):
        assert write_params(path, arrays) == path
        result = read_params(path)
        assert result.keys() == arrays.keys()
        assert all(np.array_equal(result[name], array) for name, array in arrays.items())
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("lacking", [1, 100, 4000])
def test_a_disk_that_is_full_by_little_leaves_the_old_file(tmp_path, full_disk, rng, lacking):
    arrays = {"head.weight": rng.random((50, 40), np.float32)}
    path = write_params(tmp_path / "net.params", arrays)
    size, old = path.stat().st_size, path.read_bytes()
    with full_disk(size - lacking):
        message = refusal(write_params, path, {"head.weight": arrays["head.weight"] + 1})
    assert "cannot be written (File too large)" in message
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == old


def test_files_are_bit_by_bit_those_of_mxnet(tmp_path, rng):
    arrays = {"weight": rng.random((3, 2, 1), np.float32), "b": rng.random(4).astype(np.float16)}
    write_params(tmp_path / "ours.params", arrays)
    theirs = {name: mx.nd.array(array, dtype=array.dtype) for name, array in arrays.items()}
    mx.nd.save(str(tmp_path / "theirs.params"), theirs)
    ours, theirs = (tmp_path / f"{whose}.params" for whose in ("ours", "theirs"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_other_suffixes_are_not_written(tmp_path):
    message = refusal(write_params, tmp_path / "net.pth", {})
    assert "net.pth does not end in .params" in message
    assert not list(tmp_path.iterdir())


def test_half_precision_stays_half_and_loads_into_a_net(tmp_path, rng):
    half = rng.random((4, 3)).astype(np.float16)
    path = write_params(tmp_path / "net.params", {"weight": half})
    assert read_params(path)["weight"].dtype == np.float16
    net = mx.gluon.nn.Dense(4, use_bias=False, in_units=3)
    net.load_parameters(str(path), cast_dtype=True)
    assert np.array_equal(net.weight.data().asnumpy(), half)


@pytest.mark.parametrize("start", [(0xF993FAC8,), (0xF993FAC9, 0), (0xF993FACA, 0), ()])
def test_files_of_all_versions_read_as_mxnet_reads_them(tmp_path, start):
    axes = "2q" if start else "2I"  # the oldest begin with the number of axes, and have 32 bits
    array = struct.pack(f"<{len(start)}Ii{axes}3i6e", *start, 2, 2, 3, 1, 0, 2, *range(6))
    name = struct.pack("<QQ", 1, 4) + b"mean"
    path = tmp_path / "net.params"
    path.write_bytes(struct.pack("<QQQ", 0x112, 0, 1) + array + name)
    with mx.util.np_shape(start[:1] == (0xF993FACA,)):
        expected = mx.nd.load(str(path))["mean"].asnumpy()
    result = read_params(path)
    assert list(result) == ["mean"] and result["mean"].dtype == expected.dtype == np.float16
    assert np.array_equal(result["mean"], expected)


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "uint8", "int32", "int8", "int64"]
)
def test_arrays_of_all_dtypes_read_as_mxnet_writes_them(tmp_path, dtype):
    array = np.arange(6).reshape(1, 2, 3).astype(dtype)
    mx.nd.save(str(tmp_path / "a.params"), {"a": mx.nd.array(array, dtype=dtype)})
    result = read_params(tmp_path / "a.params")["a"]
    assert result.dtype == dtype and np.array_equal(result, array)
    save_arrays(tmp_path / "ours.params", {"a": array})
    assert (tmp_path / "ours.params").read_bytes() == (tmp_path / "a.params").read_bytes()


@pytest.mark.parametrize(
    "array, message",
    [
        (struct.pack("<Ii", 0xF993FAC9, 1), "an array is sparse"),
        (struct.pack("<Iii", 0xF993FAC9, 0, -1), "an array has -1 axes"),
        (struct.pack("<Iiiq3i", 0xF993FAC9, 0, 1, -4, 1, 0, 0), "shape (-4,) and type 0"),
        (struct.pack("<Iiiq3i", 0xF993FAC9, 0, 1, 4, 1, 0, 12), "shape (4,) and type 12"),
        (struct.pack("<Iiiq3i", 0xF993FAC9, 0, 1, 2**62, 1, 0, 0), "reach beyond the end"),
    ],
)
def test_arrays_of_other_kinds_are_refused(tmp_path, array, message):
    (tmp_path / "a.params").write_bytes(struct.pack("<QQQ", 0x112, 0, 1) + array)
    assert message in refusal(read_params, tmp_path / "a.params")
