"""Small files that would take time or memory without end; each was read so, once."""

import pickle
import zipfile

import numpy as np
import pytest
from tensorflow_files import block, entry, field, sealed, table, varint, write_checkpoint
from torch_files import LEGACY_MAGIC

from gluon_enhance.errors import WeightsError
from gluon_enhance.weights.load import read_weights
from gluon_enhance.weights.names.architectures import read_off
from gluon_enhance.weights.readers.tensorflow import MAGIC, read_tensorflow
from gluon_enhance.weights.readers.torch import FUNCTIONS, read_torch
from gluon_enhance.weights.vgg import _read_keras, _read_npz

PROTO = b"\x80\x04"


def nested(depth=60):
    """Pickle a tuple of 2**depth elements, for who looks at each, without protocol and stop."""
    value = ()
    for _ in range(depth):
        value = (value, value)
    return pickle.dumps(value, 4)[2:-1]


def legacy(*pickles):
    info = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    heads = [pickle.dumps(value, 2) for value in (LEGACY_MAGIC, 1001, info)]
    return b"".join([*heads, *pickles])


def refusal(read, path, data):
    path.write_bytes(data)
    with pytest.raises(WeightsError) as caught:
        read(path)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


@pytest.mark.parametrize(
    "state, keys, message",
    [
        (nested() + nested() + b"\x93", b"]", "a tuple is out of place"),
        (b"}", b"]" + nested() + b"a", "a tuple is out of place"),
        (b"\x8b" + (100_000).to_bytes(4, "little") + 100_000 * b"\x7f", b"]", "799999 bits"),
    ],
    ids=["a name", "a key", "a number"],
)
def test_pickles_that_grow_when_looked_at_are_refused(tmp_path, state, keys, message):
    data = legacy(PROTO + state + b".", PROTO + keys + b".")
    assert message in refusal(read_torch, tmp_path / "net.pth", data)


def test_a_list_is_made_a_dictionary_once():
    make, pairs = FUNCTIONS["collections.OrderedDict"], [["a", 1], ("b", 2)]
    assert make() == {} and make(pairs) == {"a": 1, "b": 2}
    assert make(pairs) == {}


def test_a_pickle_that_unpacks_to_far_more_than_the_file_is_refused(tmp_path):
    path = tmp_path / "net.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", PROTO + 2_000_000 * b"]" + b".")
        archive.writestr("a/data/0", np.random.default_rng(0).bytes(200_000))
    message = refusal(read_torch, path, path.read_bytes())
    assert "unpacks to a pickle of 2,000,003 bytes" in message


def test_a_zip_of_very_many_arrays_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "vgg.npz", "w") as archive:
        for k in range(5_001):
            archive.writestr(f"{k}.npy", b"")
    with pytest.raises(WeightsError, match="it has 5,001 members, more than 5,000"):
        _read_npz(tmp_path / "vgg.npz")


def torch_file(path, state):
    """Write the pickle of a state without protocol and stop, and no tensors."""
    path.write_bytes(legacy(PROTO + state + b".", PROTO + b"]."))
    return path


def text(value):
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


@pytest.mark.parametrize(
    "state",
    [
        b"}q\0" + text("params") + b"h\0s",
        b"}q\0" + text("params") + b"}q\1" + text("model") + b"h\0ss",
        b"}" + text("head.weight") + nested() + b"s",
        b"}" + text("head.weight") + b"]q\0h\0as",
    ],
    ids=["itself", "one that holds it", "2**60 elements", "a list of itself"],
)
def test_weights_that_go_on_without_end_are_of_no_net(tmp_path, state):
    path = torch_file(tmp_path / "net.pth", state)
    with pytest.raises(WeightsError) as caught:
        read_off(read_weights(path), path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < 1000


def test_long_arguments_are_not_copied_for_each_call(tmp_path):
    """A call of arguments that were put aside takes five bytes."""
    state = b"ccollections\nOrderedDict\nq\0(" + 1000 * b"N" + b"tq\1R" + 1000 * b"h\0h\1R"
    message = refusal(read_torch, tmp_path / "net.pth", legacy(PROTO + state + b"."))
    assert "OrderedDict is called with 1,000 arguments" in message


def test_texts_of_safetensors_are_not_followed_to_any_depth(tmp_path):
    state = {"__metadata__": {"model": "[" * 100_000}, "head.weight": np.ones((8, 3, 3, 3))}
    with pytest.raises(WeightsError, match="net.safetensors has the names"):
        read_off(state, tmp_path / "net.safetensors")


def test_groups_of_hdf5_are_not_followed_to_any_depth(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "vgg.h5", "w", libver="latest") as file:
        group = file
        for _ in range(40):
            group = group.create_group("a")
    with pytest.raises(WeightsError, match="its groups lie more than 16 deep"):
        _read_keras(tmp_path / "vgg.h5")


def checkpoint(path, entries):
    write_checkpoint(path, {"a": np.ones(1000, "<f4")})
    return table([("", field(1, 1)), *entries], 2000, 0)


def tensor(offset=0, size=4000, shape=(1000,)):
    array = np.ones(1000, "<f4")
    message = entry(array, 0, offset, array.tobytes())
    dims = b"".join(field(2, field(1, n)) for n in shape)
    return message + field(2, dims) + field(5, size)


@pytest.mark.parametrize(
    "entries, message",
    [
        ([("a", tensor()), ("b", tensor())], "b overlaps another"),
        ([("a", tensor(shape=[2**62] * 40))], "a has 40 axes"),
        ([("a" * 2000, tensor())], "a name has 2,000 bytes"),
        ([("a", b"\x08" + 20 * b"\xff" + b"\x01")], "a number has more than 64 bits"),
    ],
    ids=["tensors", "axes", "names", "numbers"],
)
def test_checkpoints_that_grow_when_read_are_refused(tmp_path, entries, message):
    data = checkpoint(tmp_path / "net", entries)
    assert message in refusal(read_tensorflow, tmp_path / "net.index", data)


def test_an_index_that_lists_one_block_twice_is_refused(tmp_path):
    write_checkpoint(tmp_path / "net", {"a": np.ones(1000, "<f4")})
    body = block([("", field(1, 1)), ("a", tensor())])
    handle = varint(0) + varint(len(body))
    index = block([("a", handle), ("b", handle)])
    data = sealed(body, 0) + sealed(index, 0)
    footer = varint(0) + varint(0) + varint(len(body) + 5) + varint(len(index))
    data += footer.ljust(40, b"\0") + MAGIC.to_bytes(8, "little")
    assert "blocks of the index overlap" in refusal(read_tensorflow, tmp_path / "net.index", data)
