"""What is converted once is verified each time, and made again when it is wrong."""

import os
import subprocess
import sys
import time

import filelock
import numpy as np
import pytest

from gluon_enhance import Enhancer, zoo
from gluon_enhance.engines import compiled_models
from gluon_enhance.engines.compiled_models import CompiledModels
from gluon_enhance.inference.resolve import resolve
from gluon_enhance.weights import cache


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
