"""What is converted into the cache: once, whole, by however many at once."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gluon_enhance import exporting
from gluon_enhance.sources import resolve
from gluon_enhance.weights import store

RUN = """
import sys
import numpy as np
import gluon_enhance as ge

image = np.arange(10 * 8 * 3, dtype=np.uint8).reshape(10, 8, 3)
np.save(sys.argv[2], ge.Enhancer(sys.argv[1], precision="fp32", threads=1)(image))
"""


def test_many_at_once_convert_one_time(tmp_path, monkeypatch):
    calls, together = [], threading.Barrier(4)

    def export_onnx(net, path, multiple):
        calls.append(path)
        time.sleep(0.2)
        path.write_bytes(b"onnx")

    def find(_):
        together.wait()
        return source.find(".onnx")

    monkeypatch.setattr(exporting, "export_onnx", export_onnx)
    (tmp_path / "own.params").write_bytes(b"weights")
    monkeypatch.setattr("gluon_enhance.zoo.get_model", lambda *_, **__: None)
    source = resolve(f"srcnn_x4={tmp_path / 'own.params'}")[1]
    with ThreadPoolExecutor(4) as threads:
        paths = set(threads.map(find, range(4)))
    assert [*paths] == calls and paths.pop().read_bytes() == b"onnx"


def test_two_commands_that_convert_one_model_at_once_agree(tmp_path):
    pytest.importorskip("mxnet", reason="MXNet is not installed")
    pytest.importorskip("onnx")
    import gluon_enhance as ge

    net = ge.get_model("srcnn_x4")
    net.initialize()
    net.save_parameters(str(tmp_path / "own.params"))
    answers = [tmp_path / "0.npy", tmp_path / "1.npy"]
    commands = [
        subprocess.Popen([sys.executable, "-c", RUN, f"srcnn_x4={tmp_path / 'own.params'}", answer])
        for answer in answers
    ]
    assert [command.wait(timeout=120) for command in commands] == [0, 0]
    first, second = map(np.load, answers)
    assert np.array_equal(first, second) and first.shape == (40, 32, 3)
    cache = store.cache_folder()
    left = {path.suffix or path.name for path in cache.iterdir()}
    assert {".onnx"} <= left <= {".onnx", ".lock", "compiled"}
    assert {path.suffix for path in (cache / "compiled").rglob("*")} <= {".compiled"}
