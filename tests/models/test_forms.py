"""What users get outside training is a graph that other programs know."""

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance import engines, zoo  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.models.forms import FAST, in_form, set_form  # noqa: E402
from gluon_enhance.models.norms import fuse_norms  # noqa: E402
from gluon_enhance.training.devices import Devices  # noqa: E402
from gluon_enhance.training.steps import SupervisedStep  # noqa: E402

SHIPPED = [name for name, spec in zoo.MODELS.items() if spec.weights_kind == "shipped"]


def exported(name, folder):
    """Export a shipped net as any Gluon user does; return the pair, an image and the answer."""
    net = zoo.get_model(name, pretrained=True)
    net.hybridize()
    side = max(16, net.spec.min_size + 7) // 8 * 8
    image = mx.nd.array(np.random.default_rng(0).random((1, 3, side, side + 8)))
    answer = net(image).asnumpy()
    net.export(str(folder / "net"))
    return folder / "net-symbol.json", folder / "net-0000.params", image, answer


@pytest.mark.parametrize("name", SHIPPED)
def test_exported_nets_pass_mxnets_own_onnx_exporter(name, tmp_path):
    pytest.importorskip("onnx.mapping")
    symbol, params, image, answer = exported(name, tmp_path)
    path = tmp_path / "net.onnx"
    # The file is of a fixed size: MXNet's default.
    mx.onnx.export_model(str(symbol), str(params), [image.shape], np.float32, str(path))
    engine = engines.load("openvino", path, precision="fp32")
    assert np.abs(engine.run(image.asnumpy()) - answer).max() < 1e-4
