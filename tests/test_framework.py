import os
import subprocess
import sys

import pytest

from gluon_enhance import framework
from gluon_enhance.errors import EngineError

needs_mxnet = pytest.mark.skipif(not framework.is_mxnet_installed(), reason="no MXNet here")


def made_machine(folder, cpus=8, siblings=None, groups=None):
    """Write what a kernel says of `cpus` processors, and of control groups, as files."""
    siblings = siblings or {k: k for k in range(cpus)}
    files = {
        f"sys/devices/system/cpu/cpu{k}/topology/thread_siblings_list": siblings[k]
        for k in range(cpus)
    }
    for name, text in {**files, **(groups or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return folder


@pytest.fixture
def eight_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def test_physical_cores_are_counted():
    assert 1 <= framework.physical_cores() <= os.cpu_count()


def test_hyper_threads_of_a_core_count_once(eight_processors, tmp_path):
    siblings = {k: f"{k % 4},{k % 4 + 4}" for k in range(8)}
    assert framework.physical_cores(made_machine(tmp_path, siblings=siblings)) == 4
    assert framework.physical_cores(tmp_path / "that says nothing") == 8


V1 = "sys/fs/cgroup/cpu"


@pytest.mark.parametrize(
    "groups, cores",
    [
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"}, 2),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "10000 100000"}, 1),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, 8),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "1600000 100000"}, 8),
        (
            {
                "proc/self/cgroup": "0::/user.slice/job",
                "sys/fs/cgroup/user.slice/cpu.max": "300000 100000",
                "sys/fs/cgroup/user.slice/job/cpu.max": "max 100000",
            },
            3,
        ),
        ({"proc/self/cgroup": "0::/docker/1f", "sys/fs/cgroup/cpu.max": "400000 100000"}, 4),
        (
            {
                "proc/self/cgroup": "5:memory:/docker/1f\n4:cpu,cpuacct:/docker/1f\n0::/",
                f"{V1}/cpu.cfs_quota_us": "250000",
                f"{V1}/cpu.cfs_period_us": "50000",
            },
            5,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/job",
                f"{V1}/cpu.cfs_quota_us": "-1",
                f"{V1}/cpu.cfs_period_us": "100000",
                f"{V1}/job/cpu.cfs_quota_us": "100000",
                f"{V1}/job/cpu.cfs_period_us": "100000",
            },
            1,
        ),
        ({"proc/self/cgroup": "4:cpu:/", f"{V1}/cpu.cfs_quota_us": "-1"}, 8),
        ({"proc/self/cgroup": "0::/"}, 8),
        ({}, 8),
    ],
    ids=[
        "version 2, two cores",
        "one and a half",
        "a tenth",
        "no limit",
        "more than there is",
        "of a group above",
        "in a container that sees the host's path",
        "version 1, two controllers as one",
        "version 1, own group",
        "version 1, no limit",
        "no files",
        "no groups",
    ],
)
def test_quotas_of_control_groups_count(eight_processors, tmp_path, groups, cores):
    assert framework.physical_cores(made_machine(tmp_path, groups=groups)) == cores


def test_package_imports_without_loading_mxnet_or_engines():
    code = (
        "import sys, gluon_enhance as ge; ge.list_models(); ge.Enhancer; ge.metrics; "
        "heavy = {'mxnet', 'openvino', 'onnxruntime', 'onnx', 'matplotlib'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_absent_mxnet_says_what_to_install(monkeypatch):
    monkeypatch.setattr(framework, "is_mxnet_installed", lambda: False)
    with pytest.raises(EngineError, match=r"pip install 'gluon-enhance\[cpu\]'"):
        framework.import_mxnet()


@needs_mxnet
def test_contexts_are_parsed():
    assert str(framework.context("cpu")) == "cpu(0)"
    with pytest.raises(EngineError, match="'tpu'.*gpu"):
        framework.context("tpu")


@needs_mxnet
def test_absent_gpu_is_an_error_that_names_the_limits():
    if framework.mx.context.num_gpus():
        pytest.skip("this machine has a GPU that MXNet sees")
    with pytest.raises(EngineError, match="sees 0 GPUs.*Hopper"):
        framework.context("gpu(0)")


@needs_mxnet
def test_gpu_without_code_in_mxnet_is_an_error_that_names_the_limits(monkeypatch):
    mx = framework.mx

    def no_kernel(*_, **__):
        raise mx.MXNetError("trace\nno kernel image is available for execution on the device")

    monkeypatch.setattr(mx.context, "num_gpus", lambda: 1)
    monkeypatch.setattr(mx.nd, "ones", no_kernel)
    with pytest.raises(EngineError, match="no kernel image.*Hopper"):
        framework.context("gpu")


@needs_mxnet
def test_constant_at_the_address_of_a_freed_one_is_silent():
    # pytest makes an error of a warning; each of these is freed at once, the next takes its place.
    for value in range(100):
        made = framework.constant(framework.mx.gluon.ParameterDict("net_"), "mean", [value])
        made.initialize()
        assert made.data().asscalar() == value
