"""Cards, indexes and other small files: what has no end in their place is refused."""

import os
import sys

import pytest

from gluon_enhance import small_files
from gluon_enhance.engines.checks.onnx_file import read_onnx
from gluon_enhance.errors import WeightsError
from gluon_enhance.exporting.symbol_graph import read_graph
from gluon_enhance.inference.resolve import resolve
from gluon_enhance.small_files import read_small
from gluon_enhance.weights.load import SUFFIXES, read_weights
from gluon_enhance.weights.manifest import WeightFile, read_card, verify
from gluon_enhance.weights.readers.ncnn import MAGIC, read_ncnn
from gluon_enhance.weights.vgg import FORMATS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices are of Unix")


@pytest.fixture(params=["pipe", "device", "folder"])
def endless(request, tmp_path):
    path = tmp_path / "card.json"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    return path


def test_what_is_no_file_is_not_read(endless):
    with pytest.raises(OSError, match="regular file|directory"):
        read_small(endless)


def test_a_file_is_read_up_to_its_bound(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_small(tmp_path / "a", 5) == b"12345"
    with pytest.raises(OSError, match="more than 0 MiB"):
        read_small(tmp_path / "a", 4)
    with pytest.raises(FileNotFoundError):
        read_small(tmp_path / "b")


def test_a_card_without_end_is_refused_by_its_name(endless):
    with pytest.raises(WeightsError, match=r"card.json cannot be read \((it is no regular|Is a d)"):
        read_card(endless.parent)
    with pytest.raises(WeightsError, match=r"card.json cannot be read"):
        resolve(endless.parent)


def test_a_card_beyond_all_proportion_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(small_files.read_small, "__defaults__", (1 << 20,))
    (tmp_path / "card.json").write_text(" " * ((1 << 20) + 1) + "{}")
    with pytest.raises(WeightsError, match="it has more than 1 MiB"):
        read_card(tmp_path)


def test_weights_without_end_are_not_hashed(endless):
    with pytest.raises(WeightsError, match="is no regular file"):
        verify(endless, WeightFile("a", sha256="0" * 64))


READ = {
    **{suffix: read for suffix, (read, _) in FORMATS.items()},
    **dict.fromkeys(SUFFIXES, read_weights),
    ".param": read_ncnn,
    ".json": read_graph,
}


@pytest.mark.parametrize("suffix", READ)
def test_readers_of_weights_and_graphs_do_not_wait_for_a_pipe(suffix, tmp_path):
    if suffix == ".h5":
        pytest.importorskip("h5py")
    if suffix == ".bin":
        (tmp_path / "net.param").write_text(f"{MAGIC}\n0 0\n")
    path = tmp_path / f"net{suffix}"
    os.mkfifo(path)
    with pytest.raises(WeightsError, match="it is no regular file"):
        READ[suffix](path)


def test_an_onnx_file_may_be_no_pipe(tmp_path):
    os.mkfifo(tmp_path / "net.onnx")
    with pytest.raises(OSError, match="it is no regular file"):
        read_onnx(tmp_path / "net.onnx")


def test_a_companion_that_is_a_pipe_is_refused_by_its_name(tmp_path):
    (tmp_path / "net.bin").write_bytes(b"")
    os.mkfifo(tmp_path / "net.param")
    with pytest.raises(WeightsError, match=r"net\.param cannot be read \(it is no regular file"):
        resolve(tmp_path / "net.bin")
