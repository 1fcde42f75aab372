"""Compiled models are kept between runs, never trusted, and never without bound."""

import os
import shutil

import numpy as np
import pytest

from gluon_enhance import Enhancer
from gluon_enhance.engines import compiled_models
from gluon_enhance.engines.compiled_models import CompiledModels
from gluon_enhance.engines.openvino import OpenVINOEngine
from gluon_enhance.weights import store

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"a model")
    return path


@pytest.fixture
def kept(tmp_path, model):
    return CompiledModels(tmp_path / "kept", model, "compiler 1")


def test_what_is_kept_comes_back_by_what_it_was_made_of(tmp_path, model, kept):
    kept.put(b"compiled", (1, 3, 8, 8), "bf16")
    assert kept.get((1, 3, 8, 8), "bf16") == b"compiled"
    assert kept.get((1, 3, 8, 9), "bf16") is None
    assert CompiledModels(tmp_path / "kept", model, "compiler 2").get((1, 3, 8, 8), "bf16") is None
    model.with_suffix(".bin").write_bytes(b"weights")
    again = CompiledModels(tmp_path / "kept", model, "compiler 1")
    assert again.get((1, 3, 8, 8), "bf16") is None


@pytest.mark.parametrize("place", [0, 63, 64, -1])
def test_damaged_files_are_not_used(tmp_path, kept, place):
    kept.put(b"compiled")
    (path,) = (tmp_path / "kept").iterdir()
    whole = path.read_bytes()
    for damaged in (whole[:place], whole[:place] + b"?" + whole[place:][1:]):
        path.write_bytes(damaged)
        assert kept.get() is None


def test_what_was_used_longest_ago_makes_room(tmp_path, kept, monkeypatch):
    monkeypatch.setattr(compiled_models, "MAX_BYTES", 1000)
    for k in range(4):
        kept.put(bytes(200), k)
        for path in (tmp_path / "kept").iterdir():  # all that is there was used a while ago
            os.utime(path, (path.stat().st_mtime - 100,) * 2)
        assert kept.get(0) == bytes(200)
    assert [kept.get(k) is not None for k in range(4)] == [True, False, True, True]


def test_large_models_and_folders_without_right_keep_nothing(tmp_path, model, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    for folder in (None, tmp_path / "file"):
        unkept = CompiledModels(folder, model, "compiler 1")
        unkept.put(b"compiled")
        assert unkept.get() is None
    monkeypatch.setattr(compiled_models, "MAX_MODEL_BYTES", 3)
    assert not CompiledModels(tmp_path / "kept", model, "compiler 1")


def test_the_second_run_compiles_nothing(monkeypatch):
    pytest.importorskip("openvino")
    first = Enhancer(engine="openvino", threads=1)
    result = first(IMAGE)

    def compile_again(*_):
        raise AssertionError("compiled again")

    monkeypatch.setattr(OpenVINOEngine, "_compile", compile_again)
    second = Enhancer(engine="openvino", threads=1)
    assert second.describe() == first.describe()
    assert np.array_equal(second(IMAGE), result)
    with pytest.raises(AssertionError, match="compiled again"):
        second(IMAGE[:8])


@pytest.mark.parametrize("what", [b"", b"no model" * 100])
def test_what_openvino_refuses_is_compiled_again(monkeypatch, what):
    pytest.importorskip("openvino")
    result = Enhancer(engine="openvino", precision="fp32", threads=1)(IMAGE)
    monkeypatch.setattr(CompiledModels, "get", lambda *_: what)
    assert np.array_equal(Enhancer(engine="openvino", precision="fp32", threads=1)(IMAGE), result)


def test_the_folder_may_be_deleted_any_time():
    pytest.importorskip("openvino")
    enhancer = Enhancer(engine="openvino", threads=1)
    result = enhancer(IMAGE)
    shutil.rmtree(store.cache_folder() / "compiled")
    assert enhancer(IMAGE[::-1]).shape == result.shape
