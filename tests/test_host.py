"""A program that uses the library computes as before: MXNet's engine, forks, environment.

Programs of their own show it, as the tests' process has chosen an engine; each prints one object.
"""

import json
import os
import subprocess
import sys

import pytest

from gluon_enhance import commands, framework

pytestmark = [
    pytest.mark.skipif(not framework.is_mxnet_installed(), reason="no MXNet here"),
    pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted by /proc"),
]

SECONDS = 300
"""After which a program counts as hanging."""

CHOICES = ("OMP_NUM_THREADS", "MXNET_OMP_MAX_THREADS", "MXNET_ENGINE_TYPE")

START = """
import json, os, time
import numpy as np
from gluon_enhance import framework

def count_new_threads(function):
    before = len(os.listdir("/proc/self/task"))
    function()
    return len(os.listdir("/proc/self/task")) - before

def settings():
    prefixes = ("OMP_", "MXNET_", "DMLC_")
    return {name: value for name, value in os.environ.items() if name.startswith(prefixes)}

found, before = {}, settings()
"""

MEASURE = """
from gluon_enhance.framework import mx
found["threads of the engine"] = count_new_threads(lambda: mx.nd.ones(1).wait_to_read())
conv = mx.gluon.nn.Conv2D(32, 3, in_channels=32)
batch = np.ones((2, 32, 64, 64), np.float32)
compute = lambda: conv(mx.nd.array(batch)).wait_to_read()
found["threads beside the first"] = count_new_threads(lambda: (conv.initialize(), compute()))
found["settings stay"] = settings() == before
"""

HOST = """
import gluon_enhance as ge
from gluon_enhance import commands
try:
    commands.main(["models", "nothing*"])
except SystemExit:
    pass
{measure}
from gluon_enhance.engines import load
from mxnet.gluon.data import ArrayDataset, DataLoader
from mxnet.gluon.data.vision.transforms import ToTensor

net = ge.get_model("srcnn_x4", pretrained=True)
image = mx.nd.array(np.random.default_rng(0).random((1, 3, 24, 24)))
answer = net(image).asnumpy()
pixels = mx.nd.ones((8, 4, 4, 3)) * 255
dataset = ArrayDataset(pixels, mx.nd.arange(8)).transform_first(ToTensor())
found["loaders"] = [
    sum(float(x.sum().asscalar() + y.sum().asscalar()) for x, y in loader)
    for loader in (DataLoader(dataset, batch_size=2, num_workers=2) for _ in range(2))
]

child = os.fork()
if child == 0:
    os._exit(int(np.abs(net(image).asnumpy() - answer).max() < 1e-6))
found["child's answer is right"] = os.waitpid(child, 0)[1] >> 8

found["without a GPU"] = []
for make in (lambda ctx: mx.nd.array([2], ctx=ctx), lambda ctx: mx.nd.ones(2, ctx=ctx)):
    try:
        made = make(mx.gpu(mx.context.num_gpus()))
    except mx.MXNetError:
        made = make(mx.cpu())
    found["without a GPU"].append(float(made.sum().asscalar()))

compute()  # a fork ends the threads of the parent's engine too
engine = load("mxnet", conv, threads=framework.physical_cores() + 2)
found["threads more than before"] = count_new_threads(lambda: engine.run(batch))
# OpenMP ends the threads that a smaller number leaves without work, in a while.
found["threads more afterwards"] = count_new_threads(lambda: (compute(), time.sleep(1)))
"""

SCRIPT = """
from gluon_enhance.framework import mx  # as scripts begin
from gluon_enhance.training.config import run_script

def main():
    {measure}

run_script(main)
"""


def run(code, **environment):
    """Run a program; return what it found."""
    inherited = {name: value for name, value in os.environ.items() if name not in CHOICES}
    code = START + code.replace("{measure}", MEASURE) + "print(json.dumps(found))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert result.returncode == 0, result.stderr
    return {**json.loads(result.stdout.splitlines()[-1]), "messages": result.stderr}


@pytest.fixture(scope="module")
def host():
    """A program that calls a command's function, runs a net, and goes on with MXNet."""
    return run(HOST)


def test_a_host_keeps_mxnets_engine_and_its_environment(host):
    assert host["threads of the engine"] > 0
    assert host["settings stay"]


def test_data_loaders_with_workers_and_a_transform_work_after_a_forward(host):
    """Each gives 8 * 4 * 4 * 3 ones, and the labels from 0 to 7; a second one too."""
    assert host["loaders"] == [412, 412]


def test_a_net_that_was_used_before_a_fork_works_in_the_child(host):
    assert host["child's answer is right"]


def test_the_processor_is_there_for_whom_the_gpu_fails(host):
    assert host["without a GPU"] == [2, 2]


def test_engine_mxnet_takes_the_threads_it_is_told_and_leaves_the_hosts_number(host):
    assert host["threads more than before"] == 2
    assert host["threads more afterwards"] == -2


def test_mxnet_takes_all_physical_cores_unless_the_user_says_otherwise(host):
    """Without being told, it would take half of them; several threads of the engine have some."""
    told = run(MEASURE, OMP_NUM_THREADS="3")
    teams = told["threads beside the first"] / (3 - 1)
    assert teams >= 1
    assert host["threads beside the first"] == teams * (framework.physical_cores() - 1)
    assert told["settings stay"]


def test_scripts_compute_in_the_thread_that_calls_and_say_nothing_of_it():
    script = run(SCRIPT.replace("{measure}", MEASURE.strip().replace("\n", "\n    ")))
    assert script["threads of the engine"] == 0
    assert script["threads beside the first"] == framework.physical_cores() - 1
    assert script["settings stay"]
    assert script["messages"] == ""


@pytest.mark.parametrize("arguments, chosen", [(None, [True]), (["models", "nothing*"], [])])
def test_commands_choose_the_engine_in_their_own_process_only(arguments, chosen, monkeypatch):
    calls = []
    monkeypatch.setattr(commands, "compute_in_caller", lambda: calls.append(True))
    monkeypatch.setattr(sys, "argv", ["gluon-enhance", "models", "nothing*"])
    with pytest.raises(SystemExit):
        commands.main(arguments)
    assert calls == chosen
