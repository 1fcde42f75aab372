import os
import subprocess
import sys

import pytest

from gluon_enhance import framework
from gluon_enhance.errors import EngineError

needs_mxnet = pytest.mark.skipif(not framework.is_mxnet_installed(), reason="no MXNet here")


def test_physical_cores_are_counted():
    assert 1 <= framework.physical_cores() <= os.cpu_count()


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
def test_mxnet_takes_all_physical_cores_unless_the_user_says_otherwise():
    code = "import os; from gluon_enhance.framework import mx; print(os.environ['OMP_NUM_THREADS'])"
    for given, expected in ((None, str(framework.physical_cores())), ("1", "1")):
        environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
        if given:
            environment["OMP_NUM_THREADS"] = given
        result = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert result.stdout.strip() == expected


@needs_mxnet
def test_mxnet_starts_silently_and_leaves_no_choice_of_engine_to_child_processes():
    code = "import os; from gluon_enhance.framework import mx; print(os.environ.keys())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr == ""
    assert "MXNET_ENGINE_TYPE" not in result.stdout


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
