"""Batches: photos are read ahead and written behind, with order, memory and errors as if not."""

import json
import signal
import subprocess
import sys
import threading
import time
import weakref
from contextlib import nullcontext

import numpy as np
import pytest
from test_enhance import COMMAND

from gluon_enhance.commands import pipeline
from gluon_enhance.commands.jobs import Job
from gluon_enhance.commands.pipeline import PhotoWork, overlapped, run_all
from gluon_enhance.photos import Photo, read_image, write_image


def test_results_come_in_order_and_one_item_is_ahead():
    taken, done = [], [threading.Event() for _ in range(5)]

    def items():
        for item in range(5):
            taken.append(item)
            yield item

    results = overlapped(lambda item: done[item].set() or item, items())
    for item in range(5):
        assert next(results) == item
        assert taken == list(range(min(item + 2, 5)))
        assert done[taken[-1]].wait(10)  # nobody has asked for it yet
    assert list(results) == []


def test_errors_that_no_user_can_mend_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        list(overlapped(lambda item: 1 / item, [1, 0, 1]))


def photo_works(folder, count, **options):
    jobs = [Job(folder / f"{k}.png", folder / "out" / f"{k}.png") for k in range(count)]
    shared = {"enhancer": lambda pixels, progress: pixels + 1, "watched": nullcontext}
    shared.update(outscale=1, match_colors=False, skip_existing=False, **options)
    return [PhotoWork(job, **shared) for job in jobs]


def test_two_inputs_and_two_outputs_are_in_memory_at_most(tmp_path, monkeypatch):
    alive, most = weakref.WeakSet(), []

    class Pixels(np.ndarray):
        __hash__ = object.__hash__

        def __array_finalize__(self, _):
            alive.add(self)

    def count(*_, **__):
        time.sleep(0.01)  # the other threads run ahead as far as they may
        most.append(len(alive))

    def read(path, **_):
        count()
        return Photo(np.ndarray.__new__(Pixels, (4, 4, 3), np.uint8))

    monkeypatch.setattr(pipeline, "read_image", read)
    monkeypatch.setattr(pipeline, "write_image", count)
    assert all(report["status"] == "done" for report in run_all(photo_works(tmp_path, 9)))
    assert 2 <= max(most) <= 4 and len(alive) == 0


def test_errors_of_reading_computing_and_writing_are_told_in_order(tmp_path, picture):
    works = photo_works(tmp_path, 6)
    for work in works:
        write_image(work.job.source, Photo(picture))
    works[1].job.source.write_bytes(b"no image")

    def fail(*_):
        raise MemoryError("too little memory")

    works[3].enhancer = works[4].write = fail
    reports = list(run_all(iter(works)))
    assert [report["input"] for report in reports] == [str(work.job.source) for work in works]
    status = [report["status"] for report in reports]
    assert status == ["done", "failed", "done", "failed", "failed", "done"]
    assert "is no PNG" in reports[1]["error"]
    for k in (3, 4):
        assert reports[k]["error"] == f"{works[k].job.source}: too little memory"
    for k in (0, 2, 5):
        assert np.array_equal(read_image(works[k].job.target).pixels, picture + 1)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize(
    "number, status, word",
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_interrupted_batch_leaves_whole_files_and_says_which(tmp_path, rng, number, status, word):
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for index in range(6):
        pixels = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
        write_image(source / f"{index}.png", Photo(pixels))
    command = [*COMMAND, "enhance", str(source), "-o", str(target), "--json"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's & ignores it
    )
    while not list(target.glob("*.png")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert word in errors and "Traceback" not in errors
    written = sorted(target.iterdir())
    assert 1 <= len(written) < 6 and all(path.suffix == ".png" for path in written)
    assert all(read_image(path).pixels.shape == (800, 800, 3) for path in written)
    reports = json.loads(output)["files"]
    assert len(reports) == 6
    assert [r["output"] for r in reports if r["status"] == "done"] == list(map(str, written))
    assert {r["status"] for r in reports} == {"done", "unfinished"}
    assert f"{6 - len(written)} unfinished" in errors
