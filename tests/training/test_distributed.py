"""Several machines, played by processes of this one."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gluon_enhance.framework import mx

SCRIPT = Path(__file__).with_name("tiny_training.py")
ROLES = ("scheduler", "server", "worker", "worker")

pytestmark = pytest.mark.slow


@pytest.fixture
def launch():
    """A function: options -> the processes of a run of two workers; all are ended at last.

    `last` are options of the last worker alone; `program` is what it runs instead.
    """
    processes = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def start(*options, last=(), program=None, **environment):
        for role, more in zip(ROLES, ((), (), (), last)):
            variables = {
                "DMLC_ROLE": role,
                "DMLC_PS_ROOT_URI": "127.0.0.1",
                "DMLC_PS_ROOT_PORT": str(port),
                "DMLC_NUM_WORKER": "2",
                "DMLC_NUM_SERVER": "1",
                "OMP_NUM_THREADS": "1",
                **environment,
            }
            command = [sys.executable, str(SCRIPT), "--data", "none", *map(str, options), *more]
            command += ["--kvstore", "dist_sync"]
            if program and len(processes) == len(ROLES) - 1:
                command = [sys.executable, "-c", program]
            process = subprocess.Popen(
                command,
                env={**os.environ, **variables},
                stderr=subprocess.PIPE,
                text=True,
            )
            processes.append(process)
        return processes

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def states(out, count):
    """Weights and Adam's moments of a checkpoint, file -> name -> array."""
    folder = out / "checkpoints" / f"step-{count:07d}"
    files = [*folder.glob("*.params"), *folder.glob("*.states")]
    return {path.name: mx.nd.load(str(path)) for path in files}


def losses(out):
    with open(out / "metrics.csv", newline="") as file:
        rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    changing = ("seconds", "waiting_for_data", "spread")  # a ratio of means is no mean of ratios
    return [{k: v for k, v in row.items() if k not in changing} for row in rows]


def wait_for(path, processes):
    while not path.exists():
        for process in processes:
            assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)


@pytest.mark.parametrize("critic", [(), ("--adversarial",)], ids=["supervised", "adversarial"])
def test_two_machines_make_the_update_that_one_makes_with_the_joint_batch(launch, critic, tmp_path):
    for process in launch("--out", tmp_path / "two", *critic):
        _, messages = process.communicate(timeout=120)
        assert process.returncode == 0, messages
    command = [sys.executable, str(SCRIPT), "--data", "none", "--out", str(tmp_path / "one")]
    subprocess.run([*command, *critic], check=True, stderr=subprocess.DEVNULL)
    one, two = states(tmp_path / "one", 4), states(tmp_path / "two", 4)
    assert one.keys() == two.keys()
    for name, arrays in one.items():
        for key, array in arrays.items():
            other = two[name][key].asnumpy()
            np.testing.assert_allclose(other, array.asnumpy(), atol=1e-5, err_msg=f"{name} {key}")
    assert "generator.states" in one if critic else "net.states" in one
    two, one = losses(tmp_path / "two"), losses(tmp_path / "one")
    assert len(two) == len(one) == 4
    for ours, theirs in zip(two, one):
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_killed_worker_ends_all_others_with_an_error(launch, tmp_path):
    processes = launch("--out", tmp_path, "--iterations", 1_000_000, PS_HEARTBEAT_TIMEOUT="3")
    wait_for(tmp_path / "checkpoints" / "step-0000002", processes)
    processes[-1].send_signal(signal.SIGKILL)
    began = time.monotonic()
    for process in processes[:-1]:
        _, messages = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "error: a process of this run has ended" in messages.splitlines()[-1]
    assert time.monotonic() - began < 20


def test_run_outlasts_a_sleep_of_all_machines(launch, tmp_path):
    processes = launch("--out", tmp_path, "--iterations", 1_000_000, PS_HEARTBEAT_TIMEOUT="3")
    wait_for(tmp_path / "checkpoints" / "step-0000002", processes)
    for kind, seconds in ((signal.SIGSTOP, 5), (signal.SIGCONT, 4)):
        for process in processes:
            process.send_signal(kind)
        time.sleep(seconds)
    assert [process.poll() for process in processes] == [None] * 4


def test_worker_that_fails_before_it_joins_ends_all_others_with_an_error(launch, tmp_path):
    processes = launch("--out", tmp_path, last=("--ctx", "tpu"), GLUON_ENHANCE_JOIN_TIMEOUT="3")
    *others, (_, messages) = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [1] * 4
    assert "tpu" in messages.splitlines()[-1]
    for _, messages in others:
        assert "not all processes of this run have come within 3" in messages.splitlines()[-1]


def test_run_outlasts_the_time_to_join(launch, tmp_path):
    processes = launch("--out", tmp_path, "--iterations", 1_000_000, GLUON_ENHANCE_JOIN_TIMEOUT="8")
    wait_for(tmp_path / "metrics.csv", processes)
    time.sleep(9)
    assert [process.poll() for process in processes] == [None] * 4


@pytest.mark.parametrize("text", ["soon", "0", "-1"])
def test_time_to_join_that_is_no_number_of_seconds_is_an_error(text, launch, tmp_path):
    process = launch("--out", tmp_path, GLUON_ENHANCE_JOIN_TIMEOUT=text)[-1]
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"GLUON_ENHANCE_JOIN_TIMEOUT is '{text}'; give a whole" in messages.splitlines()[-1]


def test_pickle_that_a_worker_sends_to_the_server_is_not_run(launch, tmp_path):
    mark = tmp_path / "mark"
    program = f"""
import os, pathlib, pickle
from gluon_enhance.training.distributed import Machines

class Attack:
    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path({str(mark)!r}),)

store = Machines().store
store._send_command_to_servers(0, pickle.dumps(Attack(), protocol=0).decode())
os._exit(0)  # the others end when they miss it
"""
    processes = launch("--out", tmp_path / "run", program=program, PS_HEARTBEAT_TIMEOUT="3")
    _, messages = processes[-1].communicate(timeout=60)
    assert processes[-1].returncode == 0, messages
    assert not mark.exists()


def test_interrupted_worker_stops_all_after_a_checkpoint(launch, tmp_path):
    processes = launch("--out", tmp_path, "--iterations", 1_000_000, "--save-every", 1_000_000)
    wait_for(tmp_path / "metrics.csv", processes)
    processes[-1].send_signal(signal.SIGTERM)
    for process, status in zip(processes, (0, 0, 143, 143)):  # of the one that got none too
        _, messages = process.communicate(timeout=60)
        assert process.returncode == status, messages
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


def test_machines_with_different_options_say_so(launch, tmp_path):
    processes = launch("--out", tmp_path, last=("--seed", "1"), PS_HEARTBEAT_TIMEOUT="3")
    for process in processes:
        _, messages = process.communicate(timeout=60)
        assert process.returncode == 1
    assert "the machines differ in their options" in messages
    assert [path.name for path in tmp_path.iterdir()] in ([], [".lock"])
