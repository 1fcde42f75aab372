"""The table of jobs: turns, restarts, and what is removed when."""

import sqlite3
import subprocess
import sys
import threading

import pytest

from gluon_enhance.errors import GluonEnhanceError
from gluon_enhance.serving import jobs as module
from gluon_enhance.serving import worker as worker_module
from gluon_enhance.serving.jobs import ATTEMPTS, Jobs, Stopped, StoredFile
from gluon_enhance.serving.worker import Worker


@pytest.fixture
def jobs(tmp_path):
    made = Jobs(tmp_path)
    yield made
    made.close()


def add(jobs, client="me", name="a.png"):
    folder = jobs.new_folder()
    (folder / "file_0.png").write_bytes(b"pixels")
    return jobs.add(
        folder, client, "enhance", {"x": ["1"]}, [StoredFile("file", name, "file_0.png")]
    )


def again(jobs):
    """Open the folder anew, as after a restart."""
    jobs.close()
    jobs.__init__(jobs.folder)


def test_clients_take_turns(jobs):
    for client in "aaabbc":
        add(jobs, client)
    turns = []
    while (job := jobs.take()) is not None:
        turns.append(job.client)
        jobs.finish(job.id, {"file": "x"})
    assert turns == ["a", "b", "c", "a", "b", "a"]


def test_a_job_is_told_as_it_was_given(jobs):
    job = add(jobs)
    assert jobs.get(job.id) == job and jobs.of_client("me") == [job]
    assert job.options == {"x": ["1"]} and job.files[0].name == "a.png"
    assert jobs.of_client("you") == [] and jobs.get("x") is None


def test_after_a_restart_finished_jobs_are_there_and_the_one_under_way_waits(jobs):
    first, second, third = add(jobs), add(jobs), add(jobs)
    jobs.finish(jobs.take().id, {"file": "result.png"})
    assert jobs.take().id == second.id
    again(jobs)
    assert [job.status for job in jobs.of_client("me")] == ["done", "waiting", "waiting"]
    assert jobs.get(first.id).result == {"file": "result.png"}
    assert (jobs.folder_of(third.id) / "file_0.png").read_bytes() == b"pixels"


def test_a_job_that_ends_the_process_again_and_again_is_given_up(jobs):
    job = add(jobs)
    for _ in range(ATTEMPTS):
        assert jobs.take().id == job.id
        again(jobs)
    assert jobs.get(job.id).status == "failed" and "3 times" in jobs.get(job.id).error


def test_files_of_no_job_are_removed_at_the_start(jobs):
    job, orphan = add(jobs), jobs.new_folder()
    again(jobs)
    assert jobs.folder_of(job.id).exists() and not orphan.exists()


def test_a_folder_has_one_server(jobs):
    with pytest.raises(GluonEnhanceError, match="another server works in .*--folder"):
        Jobs(jobs.folder)


def test_a_damaged_table_is_named_and_the_folder_is_free_again(tmp_path):
    (tmp_path / "jobs.sqlite").write_bytes(b"no table" * 20)
    with pytest.raises(GluonEnhanceError, match=r"jobs.sqlite cannot be used \(.*\); .*--folder"):
        Jobs(tmp_path)
    (tmp_path / "jobs.sqlite").unlink()
    Jobs(tmp_path).close()


class Full:
    """A table on a disk that has no room while a folder is there."""

    def __init__(self, base, folder):
        self._base, self._folder, self.close = base, folder, base.close

    def execute(self, statement, values=()):
        if self._folder.exists() and not statement.startswith("SELECT"):
            raise sqlite3.OperationalError("database or disk is full")
        return self._base.execute(statement, values)


def test_jobs_can_be_removed_from_a_full_disk(jobs):
    job = add(jobs)
    jobs._base = Full(jobs._base, jobs.folder_of(job.id))
    jobs.remove(job.id)
    assert jobs.get(job.id) is None and not jobs.folder_of(job.id).exists()


def test_what_is_canceled_is_stopped_and_may_be_tried_again(jobs):
    job = add(jobs)
    jobs.take()
    jobs.note(job.id, 1, 4)
    assert jobs.progress == {job.id: (1, 4)}
    jobs.cancel(job.id)
    with pytest.raises(Stopped):
        jobs.note(job.id, 2, 4)
    jobs.put_back(job.id)
    jobs.finish(job.id, {"file": "late"})
    assert jobs.get(job.id).status == "canceled" and jobs.progress == {}
    jobs.retry(job.id)
    assert jobs.take().id == job.id


def test_old_results_are_removed_with_their_files(jobs, monkeypatch):
    old, waiting = add(jobs), add(jobs)
    jobs.finish(jobs.take().id, {"file": "x"})
    jobs.sweep(3600)
    assert jobs.get(old.id)
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + 4000)
    jobs.sweep(3600)
    assert jobs.get(old.id) is None and not jobs.folder_of(old.id).exists()
    assert jobs.get(waiting.id)


def test_a_process_that_is_killed_loses_no_finished_result(tmp_path):
    code = (
        "import os, sys, signal; from pathlib import Path\n"
        "from gluon_enhance.serving.jobs import Jobs, StoredFile\n"
        "jobs = Jobs(Path(sys.argv[1]))\n"
        "for number in range(20):\n"
        "    folder = jobs.new_folder(); (folder / 'file').write_text('x')\n"
        "    jobs.add(folder, 'me', 'enhance', {}, [StoredFile('file', 'x', 'file')])\n"
        "for number in range(10):\n"
        "    jobs.finish(jobs.take().id, {'file': 'x'})\n"
        "jobs.take(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    jobs = Jobs(tmp_path)
    statuses = [job.status for job in jobs.of_client("me")]
    jobs.close()
    assert statuses == ["done"] * 10 + ["waiting"] * 10


class Slow:
    """A craft whose jobs go on until they are told to end."""

    def __init__(self):
        self.begun, self.end, self.error = threading.Event(), threading.Event(), None

    def do(self, job, folder, progress):
        while not self.end.wait(0.01):
            progress(1, 2)
            self.begun.set()
        if self.error:
            raise self.error
        return {"file": "x"}


@pytest.fixture
def slow(jobs):
    craft = Slow()
    worker = Worker(jobs, craft, 3600)
    worker.start()
    yield craft, worker
    worker.close()


def wait_until(is_so):
    for _ in range(500):
        if is_so():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


def test_the_worker_stops_a_job_that_is_canceled_and_goes_on_with_the_next(jobs, slow):
    craft, _ = slow
    first, second = add(jobs), add(jobs)
    assert craft.begun.wait(5)
    jobs.cancel(first.id)
    wait_until(lambda: jobs.get(second.id).status == "running")
    craft.end.set()
    wait_until(lambda: jobs.get(second.id).status == "done")
    assert jobs.get(first.id).status == "canceled"


def test_a_job_that_is_removed_while_it_runs_leaves_nothing(jobs, slow):
    job = add(jobs)
    assert slow[0].begun.wait(5)
    jobs.remove(job.id)
    wait_until(lambda: not jobs.folder_of(job.id).exists() and not jobs.progress)


def test_a_worker_that_is_closed_puts_its_job_back(jobs, slow):
    craft, worker = slow
    job = add(jobs)
    assert craft.begun.wait(5)
    worker.close()
    assert jobs.get(job.id).status == "waiting"


@pytest.mark.parametrize(
    ("error", "said"), [(ValueError("too\nbad"), "too bad"), (KeyError("x"), "KeyError: 'x'")]
)
def test_a_job_that_fails_says_why_and_the_others_go_on(jobs, slow, error, said):
    craft, _ = slow
    craft.error = error
    craft.end.set()
    first, second = add(jobs), add(jobs)
    wait_until(lambda: jobs.get(second.id).status == "failed")
    assert jobs.get(first.id).error == said


def test_a_job_whose_end_cannot_be_written_begins_anew_when_it_can(jobs, slow, monkeypatch):
    craft, _ = slow
    finish, failed = jobs.finish, []

    def finish_at_last(*arguments, **options):
        if not failed:
            failed.append(True)
            raise sqlite3.OperationalError("database or disk is full")
        finish(*arguments, **options)

    monkeypatch.setattr(worker_module, "PAUSE", 0.01)
    monkeypatch.setattr(jobs, "finish", finish_at_last)
    craft.end.set()
    job = add(jobs)
    wait_until(lambda: jobs.get(job.id).status == "done")
    assert failed


def test_a_worker_removes_old_results_though_there_is_work(jobs):
    old = add(jobs)
    jobs.finish(jobs.take().id, {"file": "x"})
    add(jobs)
    craft = Slow()
    worker = Worker(jobs, craft, keep=0)
    worker.start()
    assert craft.begun.wait(5)  # it goes on
    assert jobs.get(old.id) is None
    worker.close()
