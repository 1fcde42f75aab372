"""What is converted once is verified each time, and made again when it is wrong."""

import os
import subprocess
import sys
import time

import filelock
import numpy as np
import pytest
from foreign_nets import srvgg
from torch_files import write_zip

from gluon_enhance import Enhancer, zoo
from gluon_enhance.engines import compiled_models
from gluon_enhance.engines.compiled_models import CompiledModels
from gluon_enhance.exporting.folder import kept_folder
from gluon_enhance.inference.resolve import resolve
from gluon_enhance.weights import cache
from gluon_enhance.weights.manifest import fingerprint, write_card
from gluon_enhance.weights.store import cache_folder


def make(target, content=b"a net"):
    with cache.workshop(target) as work:
        (work / "draft").write_bytes(content)
        cache.keep(work / "draft", target)


def test_a_file_is_kept_while_it_is_what_was_made(tmp_path):
    target = tmp_path / "cache" / "net.onnx"
    assert not cache.is_kept(target)
    make(target)
    assert cache.is_kept(target)
    assert sorted(path.name for path in target.parent.iterdir()) == [
        "net.onnx", "net.onnx.lock", "net.onnx.sha256",
    ]  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"a ne", b"a nes", b"\0" * 5])
def test_a_file_that_was_cut_or_changed_is_not_kept(content, tmp_path):
    make(tmp_path / "net.onnx")
    (tmp_path / "net.onnx").write_bytes(content)
    assert not cache.is_kept(tmp_path / "net.onnx")
    make(tmp_path / "net.onnx")
    (tmp_path / "net.onnx.sha256").unlink()
    assert not cache.is_kept(tmp_path / "net.onnx")


KILLED = """
import os, sys
from gluon_enhance.weights.cache import workshop
with workshop(sys.argv[1]) as work:
    (work / "half").write_bytes(bytes(100))
    os.kill(os.getpid(), 9)
"""


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path):
    dead, living = tmp_path / "dead.onnx", tmp_path / "living.onnx"
    subprocess.run([sys.executable, "-c", KILLED, str(dead)], check=False)
    assert (tmp_path / ".dead.onnx.work" / "half").exists()
    foreign = tmp_path / "mine.workshop"
    foreign.mkdir()
    with cache.workshop(living) as work:
        make(tmp_path / "other.onnx")
        assert work.is_dir() and not (tmp_path / ".dead.onnx.work").exists()
    assert foreign.is_dir() and not list(tmp_path.glob(".*"))


def test_two_processes_do_not_make_one_file_at_once(tmp_path):
    with cache.workshop(tmp_path / "net.onnx"):
        lock = filelock.FileLock(tmp_path / "net.onnx.lock", timeout=0)
        with pytest.raises(filelock.Timeout):
            lock.acquire()


def test_a_converted_net_that_was_zeroed_is_converted_again(tmp_path, monkeypatch):
    pytest.importorskip("mxnet")
    pytest.importorskip("onnx")
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    net = zoo.get_model("srcnn_x4")
    net.initialize()
    weights = tmp_path / "mine.params"
    net.save_parameters(str(weights))
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    expected = Enhancer(f"srcnn_x4={weights}", precision="fp32", threads=1)(image)
    _, source = resolve(f"srcnn_x4={weights}")
    path = source.find(".onnx")
    whole = path.read_bytes()
    path.write_bytes(bytes(len(whole)))
    again = Enhancer(f"srcnn_x4={weights}", precision="fp32", threads=1)
    assert np.array_equal(again(image), expected) and cache.is_kept(path)


def make_folder(made):
    made.mkdir()
    (made / "net.onnx").write_bytes(b"a net")
    write_card(made, {"files": {"net.onnx": fingerprint(made / "net.onnx")}})


@pytest.mark.parametrize("content", [None, b"", b"a ne", b"a nes", b"\0" * 5])
@pytest.mark.parametrize("name", ["net.onnx", "card.json"])
def test_a_folder_of_which_a_file_is_gone_or_changed_is_made_again(name, content, tmp_path):
    calls = []
    for _ in range(2):
        kept_folder(tmp_path / "net", lambda made: calls.append(made) or make_folder(made))
    file = tmp_path / "net" / name
    whole = file.read_bytes()
    file.unlink() if content is None else file.write_bytes(content)
    kept_folder(tmp_path / "net", lambda made: calls.append(made) or make_folder(made))
    assert file.read_bytes() == whole and len(calls) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net", "net.lock"]


def given(folder):
    """A file of weights of another program."""
    write_zip(folder / "net.pth", dict(srvgg(2)[0]))
    return folder / "net.pth"


def symbols(folder):
    """A net that MXNet saved."""
    from gluon_enhance.framework import mx

    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Conv2D(3, 3, padding=1, in_channels=3))
    net.initialize()
    net.hybridize()
    net(mx.nd.zeros((1, 3, 16, 16)))
    net.export(str(folder / "net"))
    return folder / "net-symbol.json"


@pytest.mark.parametrize("make_model", [given, symbols])
def test_a_net_of_another_whose_folder_was_damaged_is_converted_again(
    make_model, tmp_path, monkeypatch, rng
):
    pytest.importorskip("mxnet")
    pytest.importorskip("onnx")
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "home"))
    model, image = make_model(tmp_path), rng.integers(0, 256, (8, 9, 3), np.uint8)
    expected = Enhancer(model, precision="fp32", threads=1)(image)
    (file,) = (cache_folder() / make_model.__name__).glob("*/*.onnx")
    whole = file.read_bytes()
    file.write_bytes(bytes(len(whole)))
    again = Enhancer(model, precision="fp32", threads=1)(image)
    assert np.array_equal(again, expected) and file.read_bytes() == whole


def test_hidden_folders_of_killed_processes_leave_the_folder_of_compiled_nets(tmp_path):
    model, folder = tmp_path / "net.onnx", tmp_path / "kept"
    model.write_bytes(b"a model")
    old, new = folder / ".old", folder / ".new"
    for path in (old, new):
        path.mkdir(parents=True)
        (path / "part").write_bytes(b"half")
    long_ago = time.time() - compiled_models.LONGEST_WRITE - 60
    os.utime(old, (long_ago, long_ago))
    CompiledModels(folder, model, "compiler 1").put(b"compiled")
    assert not old.exists() and new.exists()
