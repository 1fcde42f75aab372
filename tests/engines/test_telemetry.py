"""Nothing asks the network for anything that the user did not ask for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gluon_enhance as ge
from gluon_enhance import engines

WATCH = """
import os, sys

def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "urllib.Request"):
        with open(os.environ["NETWORK_CALLS"], "a") as file:
            file.write(f"{event} {arguments}\\n")

sys.addaudithook(note)
"""

CODE = """
import sys
import numpy as np
import gluon_enhance as ge
ge.Enhancer("srcnn_x4", engine=sys.argv[1])(np.zeros((8, 8, 3), np.uint8))
if "openvino" in sys.modules:
    import openvino
    openvino.convert_model  # is there for others
"""


@pytest.fixture
def watched(tmp_path):
    """Run a program; return its network calls, and whether engines left files in its home."""
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    (tmp_path / "home").mkdir()
    paths = [tmp_path / "watch", Path(ge.__file__).resolve().parents[1]]
    # OpenVINO sends nothing from where it takes the variables for those of a test server.
    servers = ("CI", "TF_BUILD", "JENKINS_URL", "GITHUB_ACTIONS")
    environment = {
        **{name: value for name, value in os.environ.items() if name not in servers},
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "HOME": str(tmp_path / "home"),
        "NETWORK_CALLS": str(tmp_path / "calls"),
    }

    def run(code, *arguments):
        command = [sys.executable, "-c", code, *arguments]
        subprocess.run(command, check=True, env=environment, cwd=tmp_path)
        calls = tmp_path / "calls"
        return calls.read_text() if calls.exists() else "", any(
            (tmp_path / "home" / name).exists() for name in ("intel", ".cache/Microsoft")
        )

    return run


@pytest.mark.parametrize("name", engines.ENGINES)
def test_enhancing_asks_the_network_for_nothing_and_counts_nothing(name, watched):
    pytest.importorskip(name)
    assert watched(CODE, name) == ("", False)


def test_the_watch_sees_what_processes_of_the_program_ask_for(watched):
    code = """
import multiprocessing, socket
def ask():
    with socket.socket() as one:
        one.connect_ex(("127.0.0.1", 9))
one = multiprocessing.get_context("fork").Process(target=ask)
one.start()
one.join()
"""
    calls, _ = watched(code)
    assert "socket.connect" in calls and "127.0.0.1" in calls
