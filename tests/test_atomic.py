"""Files are whole under their names or not there: on full disks, and when writers fail."""

import json
import os
import re
import stat
from pathlib import Path

import numpy as np
import pytest

import gluon_enhance
from gluon_enhance.atomic import whole_file, write_bytes
from gluon_enhance.errors import ImageError, WeightsError
from gluon_enhance.photos import write_image
from gluon_enhance.weights.manifest import write_card
from gluon_enhance.weights.readers.gluon import write_params

PACKAGE = Path(gluon_enhance.__file__).parent
NOISE = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
WRITERS = {
    "a.params": lambda path: write_params(path, {"weight": np.ones((40, 30), np.float32)}),
    "a.png": lambda path: write_image(path, NOISE),
    "a.tif": lambda path: write_image(path, NOISE),
    "a.jpg": lambda path: write_image(path, NOISE),
    "a.webp": lambda path: write_image(path, NOISE),
    "card.json": lambda path: write_card(path.parent, {"name": "x" * 3000}),
    "a.bin": lambda path: write_bytes(path, bytes(3000)),
}


@pytest.mark.parametrize("lacking", [1, 2000])
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(name, lacking, tmp_path, full_disk):
    path, write = tmp_path / name, WRITERS[name]
    write(path)
    size = path.stat().st_size
    path.write_bytes(b"the old file")
    with full_disk(size - lacking), pytest.raises((OSError, ImageError, WeightsError)):
        write(path)
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == b"the old file"


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    seen, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: seen.append(os.listdir(tmp_path)) or fsync(file))
    write_bytes(tmp_path / "a.bin", b"new")
    assert len(seen) == 1 and "a.bin" not in seen[0]
    assert (tmp_path / "a.bin").read_bytes() == b"new" and os.listdir(tmp_path) == ["a.bin"]


def test_the_error_names_the_file_and_not_the_hidden_one(tmp_path, full_disk):
    with full_disk(10), pytest.raises(OSError, match=f"File too large: '{tmp_path / 'a.bin'}'"):
        write_bytes(tmp_path / "a.bin", bytes(100))
    missing = tmp_path / "none" / "a.bin"
    with pytest.raises(FileNotFoundError, match=f"No such file or directory: '{missing}'"):
        write_bytes(missing, b"")


def test_a_writer_that_is_interrupted_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as draft:
        draft.write_text("ne")
        assert path.read_text() == "old"
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_files_get_the_rights_of_new_files(tmp_path):
    former = os.umask(0o027)
    try:
        write_card(tmp_path, {})
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "card.json").stat().st_mode) == 0o640
    assert json.loads((tmp_path / "card.json").read_text()) == {}


def test_files_get_their_names_in_one_module():
    renaming = re.compile(r"os\.(replace|rename|fsync)|NamedTemporaryFile|mkstemp")
    modules = (path for path in PACKAGE.rglob("*.py") if renaming.search(path.read_text("utf-8")))
    assert {path.relative_to(PACKAGE) for path in modules} == {Path("atomic.py")}
