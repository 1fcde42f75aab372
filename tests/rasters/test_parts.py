"""Parts of an interrupted run: damaged ones are made again, and nothing of others is deleted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from doubling_net import Doubling
from runs import on_plan
from test_enhancing import Blur, write

from gluon_enhance import atomic
from gluon_enhance.atomic import clear_leftovers, temporary_folder
from gluon_enhance.errors import ImageError
from gluon_enhance.rasters import plan
from gluon_enhance.rasters.compute import compute_part
from gluon_enhance.rasters.enhance import enhance_raster
from gluon_enhance.rasters.parts import append_checksum, is_intact

FOLDERS = pytest.mark.skipif(atomic.fcntl is None, reason="there are no locks of folders")


@pytest.fixture
def source(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(plan, "PART_SAMPLES", 1)
    return write(tmp_path / "in.tif", rng.integers(1, 255, (1, 200, 170)).astype(np.uint8))


def interrupt(source, out):
    def interrupted(plan, indices):
        for index in indices[:-1]:
            compute_part(plan, index, Blur())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enhance_raster(source, out, Blur(), run=on_plan(interrupted))
    return out.with_name(f".{out.name}.parts")


def zeroed(data):
    return bytes(len(data))


def one_bit_changed(data):
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    "damage", [zeroed, one_bit_changed, lambda d: d[:-1], lambda d: d[:100], lambda d: b""]
)
def test_a_damaged_part_is_made_again(source, tmp_path, caplog, damage):
    enhance_raster(source, tmp_path / "whole.tif", Blur())
    folder = interrupt(source, tmp_path / "out.tif")
    parts = sorted(folder.glob("*.tif"))
    parts[0].write_bytes(damage(parts[0].read_bytes()))
    rest = Blur()
    enhance_raster(source, tmp_path / "out.tif", rest, resume=True)
    assert rest.runs == 2  # the damaged one, and the one that was missing
    assert (tmp_path / "out.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert f"1 of {len(parts)} files in {folder} made again: damaged" in caplog.text
    assert not folder.exists()


def test_a_part_that_leads_elsewhere_is_made_again(source, tmp_path):
    """A checksum can be forged: text that GDAL takes for a VRT would show any file."""
    secret = write(tmp_path / "secret.tif", np.full((1, 200, 170), 99, np.uint8))
    enhance_raster(source, tmp_path / "whole.tif", Blur())
    part = sorted(interrupt(source, tmp_path / "out.tif").glob("*.tif"))[0]
    with rasterio.open(secret) as src:
        rasterio.shutil.copy(src, part, driver="VRT")
    append_checksum(part)
    enhance_raster(source, tmp_path / "out.tif", Blur(), resume=True)
    assert (tmp_path / "out.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_a_part_of_another_size_is_named(source, tmp_path):
    part = sorted(interrupt(source, tmp_path / "out.tif").glob("*.tif"))[0]
    write(part, np.zeros((1, 3, 5), np.uint8))
    append_checksum(part)
    with pytest.raises(ImageError, match=r"\.tif has 5x3 pixels, and the part .* delete it"):
        enhance_raster(source, tmp_path / "out.tif", Blur(), resume=True)


def test_a_checksum_tells_any_change(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"words")
    assert not is_intact(path)
    append_checksum(path)
    assert is_intact(path)
    data = path.read_bytes()
    assert data.startswith(b"words")
    for k in range(len(data)):
        path.write_bytes(data[:k] + bytes([data[k] ^ 4]) + data[k + 1 :])
        assert not is_intact(path)
        path.write_bytes(data[:k])
        assert not is_intact(path)
    assert not is_intact(tmp_path / "none")


@pytest.mark.parametrize("name", ["notes.txt", "0000000.tif", "deep"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_others_is_not_deleted(source, tmp_path, name, resume):
    folder = tmp_path / ".out.tif.parts"
    folder.mkdir()
    (folder / name).mkdir() if name == "deep" else (folder / name).write_text("words")
    with pytest.raises(ImageError, match=f"has {name}, which is none; move it"):
        enhance_raster(source, tmp_path / "out.tif", Doubling(), resume=resume)
    assert os.listdir(folder) == [name]


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_no_folder_is_not_deleted(source, tmp_path, kind):
    folder = tmp_path / ".out.tif.parts"
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "plan.json").write_text("{}")
    folder.symlink_to(tmp_path / "theirs") if kind == "link" else folder.write_text("words")
    with pytest.raises(ImageError, match="is needed for parts, and is there; move it"):
        enhance_raster(source, tmp_path / "out.tif", Doubling())
    assert os.listdir(tmp_path / "theirs") == ["plan.json"]


def test_what_comes_between_the_parts_stays(source, tmp_path, caplog):
    folder = tmp_path / ".out.tif.parts"

    def compute(plan, indices):
        for index in indices:
            compute_part(plan, index, Doubling())
        (folder / "notes.txt").write_text("words")

    enhance_raster(source, tmp_path / "out.tif", Doubling(), run=on_plan(compute))
    assert os.listdir(folder) == ["notes.txt"]
    assert f"{folder} stays, as it has other files" in caplog.text


def killed_in_a_folder(parent):
    """Kill a process that works in a temporary folder; return the folder."""
    script = """
import sys, time
from gluon_enhance.atomic import temporary_folder
with temporary_folder(sys.argv[1]) as folder:
    (folder / "half.tif").write_bytes(bytes(9))
    print(folder, flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(parent)], stdout=subprocess.PIPE, text=True
    )
    return process, Path(process.stdout.readline().strip())


@FOLDERS
def test_leftovers_of_dead_processes_are_removed_and_those_of_living_stay(tmp_path):
    process, folder = killed_in_a_folder(tmp_path)
    clear_leftovers(tmp_path)
    assert os.listdir(folder) == ["half.tif"]
    with temporary_folder(tmp_path) as own:
        clear_leftovers(tmp_path)
        assert own.exists()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        clear_leftovers(tmp_path)
        assert os.listdir(tmp_path) == [own.name]
    assert not os.listdir(tmp_path)


@FOLDERS
def test_the_next_run_removes_what_a_killed_one_has_left(source, tmp_path):
    process, folder = killed_in_a_folder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert folder.exists()
    atomic.clear_once.cache_clear()  # a process looks once
    enhance_raster(source, tmp_path / "out.tif", Doubling())
    assert sorted(os.listdir(tmp_path)) == ["in.tif", "out.tif"]


@FOLDERS
def test_folders_of_others_and_links_stay(tmp_path):
    own = atomic._prefix()
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"{own}abcd1234").symlink_to(tmp_path / "theirs")
    for name in (f"{own}notes", f"{atomic.PREFIX}abcd1234", f"{own}abcd1234.txt", "x"):
        (tmp_path / name).mkdir()
    (tmp_path / f"{own}abcd123x").write_text("words")
    before = sorted(os.listdir(tmp_path))
    clear_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_temporary_folder_vanishes_while_others_write_there(tmp_path):
    with pytest.raises(ValueError, match="words"), temporary_folder(tmp_path) as folder:
        (folder / "a").write_text("words")
        raise ValueError("words")
    with pytest.raises(FileNotFoundError):
        (folder / "b").write_text("words")
    assert not os.listdir(tmp_path)
