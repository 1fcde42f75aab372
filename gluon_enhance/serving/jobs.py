"""Jobs in a folder: a table in SQLite, and for each a folder of its files, which all stay.

A job's files are there before its row is, and its result before the row says "done": whatever
moment the process is killed at, what the table tells is true.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

from gluon_enhance.errors import GluonEnhanceError

ATTEMPTS = 3
"""How often a job is begun; one that ends the process with it is not begun for ever."""
FOLDER_NAME = "jobs"
COLUMNS = "id, client, kind, options, files, status, error, result, created, began, ended"
ENDED = ("done", "failed", "canceled")
TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL,
    kind TEXT NOT NULL,
    options TEXT NOT NULL,
    files TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'waiting',
    error TEXT,
    result TEXT NOT NULL DEFAULT '{}',
    attempts INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    began REAL,
    ended REAL
);
CREATE INDEX IF NOT EXISTS by_client ON jobs (client, began);
CREATE INDEX IF NOT EXISTS by_status ON jobs (status);
"""
# The turn is that of the client whose last job was begun the longest ago.
NEXT = f"""
SELECT {COLUMNS} FROM jobs AS one WHERE status = 'waiting' ORDER BY
    (SELECT COALESCE(MAX(began), 0) FROM jobs WHERE client = one.client), number LIMIT 1
"""


class Stopped(BaseException):  # noqa: N818  no error: nothing went wrong
    """The job under way is not to go on; no work may take it for a failure of its own."""


@dataclass(frozen=True)
class StoredFile:
    """A file of a job.

    Attributes
    ----------
    role : str
        What the job takes it as, such as ``file`` or ``reference``.
    name : str
        As its owner calls it: a plain name.
    stored : str
        Its name in the job's folder.
    """

    role: str
    name: str
    stored: str


@dataclass(frozen=True)
class Job:
    """What is asked for, and what came of it.

    Attributes
    ----------
    id : str
        Not to be guessed: who knows it may have the result.
    client : str
        Whose turn it takes.
    kind : str
    options : dict
    files : tuple of StoredFile
    status : {'waiting', 'running', 'done', 'failed', 'canceled'}
    error : str, optional
    result : dict
        Of a job that is done: the ``file`` in its folder, its ``name`` for the owner, and more.
    created, began, ended : float
        Seconds since 1970.
    """

    id: str
    client: str
    kind: str
    options: dict
    files: tuple[StoredFile, ...]
    status: str = "waiting"
    error: Optional[str] = None
    result: dict = field(default_factory=dict)
    created: float = 0
    began: Optional[float] = None
    ended: Optional[float] = None

    def told(self, message: str, folder: Path) -> str:
        """Return a message on files in the job's folder that calls them as their owner does."""
        message = message.replace(f"{folder}{os.sep}", "")
        for file in self.files:
            message = message.replace(file.stored, file.name)
        return message


class Jobs:
    """The jobs of a folder. Safe to use from several threads.

    Parameters
    ----------
    folder : path
        Made if it is not there. Jobs that a killed process was at wait again; files of no job are
        removed.

    Attributes
    ----------
    progress : dict of str to tuple of int
        Of the jobs that run: tiles done, and in all.

    Raises
    ------
    GluonEnhanceError
        If another server works in the folder, or its table of jobs cannot be used.
    OSError
        If it cannot be written to.
    """

    def __init__(self, folder: Path):
        from filelock import FileLock, Timeout

        self.folder = folder
        (folder / FOLDER_NAME).mkdir(parents=True, exist_ok=True)
        self._claim = FileLock(str(folder / "lock"))
        try:
            self._claim.acquire(timeout=0)
        except Timeout:
            raise GluonEnhanceError(
                f"another server works in {folder}; stop it, or give another --folder"
            ) from None
        self.progress: dict[str, tuple[int, int]] = {}
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        try:
            self._base = _opened(folder / "jobs.sqlite")
            self._take_up()
        except sqlite3.Error as error:
            self._claim.release()
            raise GluonEnhanceError(
                f"{folder / 'jobs.sqlite'} cannot be used ({error}); check its rights and free "
                "space, or give another --folder"
            ) from error

    def close(self) -> None:
        """Let others work in the folder."""
        with self._lock:
            self._base.close()
        self._claim.release()

    def listen(self, listener: Callable[[], None]) -> None:
        """Have a function be called, from any thread, after each change."""
        self._listeners.append(listener)

    def folder_of(self, job_id: str) -> Path:
        """Return the folder of a job's files."""
        return self.folder / FOLDER_NAME / job_id

    def new_folder(self) -> Path:
        """Make a folder for the files of a job that is to be added; its name is the job's."""
        folder = self.folder_of(secrets.token_hex(16))
        folder.mkdir()
        return folder

    def add(
        self, folder: Path, client: str, kind: str, options: Mapping, files: Iterable[StoredFile]
    ) -> Job:
        """Put a job, whose files lie in a new folder, at the end of the queue."""
        job = Job(folder.name, client, kind, dict(options), tuple(files), created=time.time())
        self._do(
            "INSERT INTO jobs (id, client, kind, options, files, created) VALUES (?,?,?,?,?,?)",
            job.id,
            client,
            kind,
            json.dumps(job.options),
            json.dumps([vars(file) for file in job.files]),
            job.created,
        )
        return job

    def get(self, job_id: str) -> Optional[Job]:
        """Return a job; None if there is none."""
        return next(self._found("WHERE id = ?", job_id), None)

    def of_client(self, client: str) -> list[Job]:
        """List a client's jobs, the first first."""
        return list(self._found("WHERE client = ? ORDER BY number", client))

    def count_waiting(self, client: Optional[str] = None) -> int:
        """Count the jobs that wait: all, or a client's."""
        if client is None:
            return self._value("SELECT COUNT(*) FROM jobs WHERE status = 'waiting'")
        return self._value(
            "SELECT COUNT(*) FROM jobs WHERE status = 'waiting' AND client = ?", client
        )

    def seconds_per_job(self) -> float:
        """Return how long the last jobs took on average; 1 if there are none."""
        mean = self._value(
            "SELECT AVG(ended - began) FROM (SELECT began, ended FROM jobs "
            "WHERE status = 'done' ORDER BY ended DESC LIMIT 20)"
        )
        return 1 if mean is None else mean

    def take(self) -> Optional[Job]:
        """Begin the next job, by turns of the clients; None if none waits."""
        with self._lock:
            row = self._base.execute(NEXT).fetchone()
            if row is None:
                return None
            job = _job(row)
            self._do(
                "UPDATE jobs SET status = 'running', began = ?, attempts = attempts + 1 "
                "WHERE id = ?",
                time.time(),
                job.id,
            )
        return job

    def note(self, job_id: str, done: int, total: int) -> None:
        """Tell how far a job is; raise `Stopped` if it is not to go on."""
        if not self.is_running(job_id):
            raise Stopped
        self.progress[job_id] = (done, total)
        self._tell()

    def is_running(self, job_id: str) -> bool:
        """Tell whether a job runs and has not been canceled."""
        job = self.get(job_id)
        return job is not None and job.status == "running"

    def finish(
        self, job_id: str, result: Optional[Mapping] = None, error: Optional[str] = None
    ) -> None:
        """End a job that runs, with a result or an error; one that was canceled stays so."""
        self.progress.pop(job_id, None)
        self._do(
            "UPDATE jobs SET status = ?, result = ?, error = ?, ended = ? "
            "WHERE id = ? AND status = 'running'",
            "failed" if error else "done",
            json.dumps(dict(result or {})),
            error,
            time.time(),
            job_id,
        )

    def put_back(self, job_id: str) -> None:
        """Have a job that runs wait again, as if it had not been begun."""
        self.progress.pop(job_id, None)
        self._do(
            "UPDATE jobs SET status = 'waiting', attempts = attempts - 1 "
            "WHERE id = ? AND status = 'running'",
            job_id,
        )

    def cancel(self, job_id: str) -> None:
        """Cancel a job that has not ended."""
        self._do(
            "UPDATE jobs SET status = 'canceled', ended = ? "
            "WHERE id = ? AND status IN ('waiting', 'running')",
            time.time(),
            job_id,
        )

    def retry(self, job_id: str) -> None:
        """Have a job that failed or was canceled wait again."""
        self._do(
            "UPDATE jobs SET status = 'waiting', error = NULL, attempts = 0, ended = NULL "
            "WHERE id = ? AND status IN ('failed', 'canceled')",
            job_id,
        )

    def remove(self, job_id: str) -> None:
        """Forget a job and remove its files; the one that runs is stopped."""
        try:
            self._do("DELETE FROM jobs WHERE id = ?", job_id)
        except sqlite3.OperationalError:  # the disk is full, where the files make room
            self.clear(job_id)
            self._do("DELETE FROM jobs WHERE id = ?", job_id)
        self.clear(job_id)

    def clear(self, job_id: str) -> None:
        """Remove the files of what is no job, or no more."""
        shutil.rmtree(self.folder_of(job_id), ignore_errors=True)

    def sweep(self, seconds: float) -> None:
        """Remove the jobs that ended so long ago."""
        for job in list(self._found("WHERE ended < ?", time.time() - seconds)):
            self.remove(job.id)

    def _take_up(self):
        self._do(
            "UPDATE jobs SET status = 'failed', ended = ?, error = ? "
            "WHERE status = 'running' AND attempts >= ?",
            time.time(),
            f"the server ended while it was at this, {ATTEMPTS} times; try a smaller picture",
            ATTEMPTS,
        )
        self._do("UPDATE jobs SET status = 'waiting' WHERE status = 'running'")
        known = {job.id for job in self._found("")}
        for folder in (self.folder / FOLDER_NAME).iterdir():
            if folder.name not in known:
                self.clear(folder.name)

    def _do(self, statement, *values):
        with self._lock:
            self._base.execute(statement, values)
        self._tell()

    def _tell(self):
        for listener in self._listeners:
            listener()

    def _value(self, query, *values) -> Any:
        with self._lock:
            return self._base.execute(query, values).fetchone()[0]

    def _found(self, condition, *values):
        with self._lock:
            rows = self._base.execute(f"SELECT {COLUMNS} FROM jobs {condition}", values).fetchall()
        return map(_job, rows)


def _opened(path):
    base = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        base.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" + TABLE)
    except sqlite3.Error:
        base.close()
        raise
    return base


def _job(row):
    number = COLUMNS.split(", ").index
    files = tuple(StoredFile(**file) for file in json.loads(row[number("files")]))
    texts = {name: json.loads(row[number(name)]) for name in ("options", "result")}
    return Job(**{**dict(zip(COLUMNS.split(", "), row)), **texts, "files": files})
