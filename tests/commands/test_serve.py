"""``gluon-enhance serve`` as a process: what it refuses, and that a kill loses no result."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from gluon_enhance.commands import cli

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from web_server import Client  # noqa: E402


@contextmanager
def served(folder, *options):
    """Start the command on any port; give the process, a client of it and what it says."""
    command = [sys.executable, "-m", "gluon_enhance", "serve", "--port", "0", "--folder", folder]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, "--threads", "1", *options], **pipes) as process:
        try:
            said = process.stdout.readline()
            yield process, Client(int(said.split("/")[2].rpartition(":")[2])), said
        finally:
            process.kill()


def finished(ask, job_id):
    for _ in range(600):
        job = ask.get(f"/api/jobs/{job_id}").json
        if job["status"] == "done":
            return job
        time.sleep(0.05)
    raise AssertionError(job)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_a_server_that_is_killed_has_its_results_when_it_starts_again(tmp_path):
    png = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    with served(tmp_path) as (process, ask, said):
        assert said.startswith("http://localhost:") and str(tmp_path) in said
        job = ask.post("/api/jobs", [("model", "nearest")], [("file", "a.png", png)]).json
        finished(ask, job["id"])
        result = ask.get(f"/api/jobs/{job['id']}/result").body
        last = ask.post("/api/jobs", [("model", "srcnn_x4")], [("file", "b.png", png)]).json
        process.kill()
    with served(tmp_path) as (process, ask, _):
        assert ask.get(f"/api/jobs/{job['id']}/result").body == result
        finished(ask, last["id"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        assert process.stderr.read() == "terminated\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "give --token too"),
        (["--token", "short"], "--token has 5 characters"),
        (["--token", "sixteen or more é"], "characters that headers do not carry"),
        (["--memory", "much"], "'much' is no size such as 500MB or 4GB"),
        (["--memory", "4T"], "is no size"),
        (["--max-bytes", "0"], "is no size"),
        (["--max-bytes", "0.5"], "is no size"),
        (["--threads", "0"], "0 is not in the range x>=1"),
        (["--keep", "0"], "0.0 is not in the range x>0"),
        (["--host", "no.such.host.invalid", "--token", "x" * 16], "cannot be listened to"),
    ],
)
def test_wrong_use_is_named(tmp_path, options, message):
    result = CliRunner().invoke(cli, ["serve", "--folder", str(tmp_path), *options])
    assert result.exit_code == 2 and message in " ".join(result.output.split())
