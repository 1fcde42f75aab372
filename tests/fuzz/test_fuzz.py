"""Readers of files against files that a fuzzer made; `fuzzing.py` finds more of them."""

import mmap
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
import targets

FUZZER = Path(__file__).with_name("fuzzing.py")
CRASHERS = sorted(FUZZER.with_name("crashers").glob("*/*"))


@pytest.fixture(autouse=True)
def traced_memory():
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.fixture
def checked(tmp_path):
    def check(name, data):
        if name in ("keras", targets.ALL):
            pytest.importorskip("h5py")
        if name in ("card", "onnx", "parts"):
            pytest.importorskip("openvino")
        targets.check(name, data, tmp_path, targets.IMPORTS)
        with targets.without_checksums():
            targets.check(name, data, tmp_path)

    return check


@pytest.mark.parametrize("name", targets.TARGETS)
def test_seeds_are_read(checked, name):
    for seed in targets.seeds(name):
        checked(name, seed)


@pytest.mark.parametrize("path", CRASHERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_once_failed_is_refused_or_read(checked, path):
    checked(path.parent.name, path.read_bytes())


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the process's peak is not told here"
)
def test_memory_that_python_does_not_count_is_bounded(tmp_path, monkeypatch):
    def read(path):
        with mmap.mmap(-1, path.stat().st_size << 20) as memory:
            for page in range(0, len(memory), mmap.PAGESIZE):
                memory[page] = 1

    monkeypatch.setitem(targets.TARGETS, "zip", targets.Target(list, read, 1))
    targets.check("zip", bytes(20), tmp_path)
    with pytest.raises(AssertionError, match="bytes of the process for 60"):
        targets.check("zip", bytes(60), tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="atheris is for Linux")
def test_a_bounded_run_of_the_fuzzer_finds_nothing(tmp_path):
    pytest.importorskip("atheris")
    pytest.importorskip("h5py")
    options = ["-runs=20000", "-seed=1", "-max_total_time=20", f"-artifact_prefix={tmp_path}/"]
    # A process takes over its parent's peak of memory, here that of all tests so far, and the
    # fuzzer would think it its own. Behind a shell it is the shell's.
    command = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, FUZZER, "all", *options]
    result = subprocess.run(map(str, command), capture_output=True, text=True, errors="replace")
    assert result.returncode == 0, result.stderr[-3000:]
