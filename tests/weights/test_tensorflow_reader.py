import numpy as np
import pytest
from tensorflow_files import write_checkpoint

from gluon_enhance.errors import WeightsError
from gluon_enhance.weights.readers import tensorflow
from gluon_enhance.weights.readers.tensorflow import masked_crc32c, read_tensorflow


def some_tensors(rng):
    return {
        "generator/W1": rng.random((3, 3, 2, 5)).astype("<f4"),
        "generator/W10": rng.random((1, 2, 3, 4)),
        "generator/Variable": rng.integers(-9, 9, 7),
        "generator/Variable_1": rng.random(7).astype("<f2"),
        "step": np.array(20000, "<i8"),
        "empty": np.zeros((0, 3), "<f4"),
    }


def refusal(path):
    with pytest.raises(WeightsError) as caught:
        read_tensorflow(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("per_block", [1, 2, 20])
def test_tensors_come_back_as_saved(tmp_path, rng, shards, per_block):
    tensors = some_tensors(rng)
    result = read_tensorflow(write_checkpoint(tmp_path / "net", tensors, shards, per_block))
    assert result.keys() == tensors.keys()
    for name, array in tensors.items():
        assert result[name].dtype == array.dtype and result[name].shape == array.shape
        assert np.array_equal(result[name], array)


def test_checksum_is_that_of_the_standard():
    masked = masked_crc32c(b"123456789")
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    assert (rotated >> 17 | rotated << 15) & 0xFFFFFFFF == 0xE3069283  # the check value of CRC-32C


def test_every_cut_of_the_index_is_refused(tmp_path, rng):
    path = write_checkpoint(tmp_path / "net", some_tensors(rng))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert "cut short" in refusal(path)


def test_every_changed_byte_of_the_index_is_refused_or_harmless(tmp_path, rng):
    tensors = {"a": np.arange(3, dtype="<f4"), "ab": np.ones(2, "<f4")}
    path = write_checkpoint(tmp_path / "net", tensors)
    whole = path.read_bytes()
    used = len(whole) - 48
    for place in range(used):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            result = read_tensorflow(path)
        except WeightsError:
            continue
        assert all(np.array_equal(result[name], array) for name, array in tensors.items())


@pytest.mark.parametrize("place", [0, 100, 359])
def test_a_changed_data_file_is_refused_by_the_tensor(tmp_path, place):
    path = write_checkpoint(tmp_path / "net", {"generator/W1": np.ones((3, 3, 2, 5), "<f4")})
    data = path.with_name("net.data-00000-of-00001")
    content = bytearray(data.read_bytes())
    content[place] ^= 1
    data.write_bytes(content)
    assert "generator/W1 does not match its checksum" in refusal(path)
    data.write_bytes(content[:-1])
    assert "generator/W1 reaches beyond the 359 bytes" in refusal(path)


def test_a_missing_data_file_is_named(tmp_path, rng):
    path = write_checkpoint(tmp_path / "net", some_tensors(rng))
    path.with_name("net.data-00000-of-00001").unlink()
    assert "net.data-00000-of-00001 cannot be read" in refusal(path)
    assert "nowhere.index cannot be read" in refusal(tmp_path / "nowhere.index")


def test_other_files_and_unknown_forms_are_refused(tmp_path, rng, monkeypatch):
    (tmp_path / "text.index").write_bytes(b"no table" * 20)
    assert "not a TensorFlow checkpoint" in refusal(tmp_path / "text.index")
    tensors = some_tensors(rng)
    assert "compressed" in refusal(write_checkpoint(tmp_path / "net", tensors, compression=1))
    assert "little-endian" in refusal(write_checkpoint(tmp_path / "net", tensors, byte_order=1))
    path = write_checkpoint(tmp_path / "net", tensors)
    monkeypatch.delitem(tensorflow.DTYPES, 19)
    assert "generator/Variable_1 is no plain tensor of numbers" in refusal(path)


@pytest.mark.reference
@pytest.mark.parametrize("phone", ["iphone", "blackberry"])
def test_official_dped_checkpoints_hold_forty_tensors(reference_data, phone):
    tensors = read_tensorflow(reference_data / f"weights/dped/{phone}_orig.index")
    assert len(tensors) == 40
    assert sum(array.size for array in tensors.values()) == 401_475
    assert tensors["generator/W1"].shape == (9, 9, 3, 64)
    assert tensors["generator/W12"].shape == (9, 9, 64, 3)
    assert tensors["generator/b12"].shape == (3,)
