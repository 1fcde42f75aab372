"""What ``--formats torch`` writes, run by a Python that has neither this package nor MXNet."""

import ast
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance.errors import EngineError  # noqa: E402
from gluon_enhance.exporting import artifacts  # noqa: E402
from gluon_enhance.exporting.pytorch_files import FILES, built_in_pytorch  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.weights.store import read_card  # noqa: E402

SOURCES = Path(ge.__file__).parent / "exporting" / "pytorch"
SPANDREL = {"RRDBNet", "SRVGGNetCompact"}
"""Classes of nets whose weights spandrel loads: no file of Python is written for them."""
TINY = {"num_blocks": 1, "channels": 4}
#: A model, and what tells its options apart -> these: together all of every class with a file.
OPTIONS = {
    "dped_resnet tiny": TINY,
    "dped_resnet_bn tiny": TINY,
    "dped_resnet_bn stats": {**TINY, "norm": "batch_stats"},
    "dped_resnet layer": {**TINY, "norm": "layer", "tanh_scale": 0.5},
    "dped_densenet chain": {"num_blocks": 2, "num_layers": 3, "channels": 4},
    "dped_densenet dense": {"num_layers": 2, "channels": 4, "dense": True, "norm": "batch"},
    "wespe tiny": {**TINY, "tanh_scale": 0.5},
    "plsr_x2 mean": {**TINY, "mean": (0.1, 0.2, 0.3)},
    "plsr_x4 tiny": TINY,
    "plsr_x8 tiny": TINY,
    "style_wave tiny": TINY,
    "style_the_wave_eccv16 tiny": TINY,
    "style_wave zero": {**TINY, "padding": "zero", "norm": "layer", "tanh_scale": 127},
    "style_wave stats": {**TINY, "norm": "batch_stats"},
    "edsr_baseline_x2 tiny": TINY,
    "edsr_baseline_x3 tiny": TINY,
    "edsr_x4 tiny": TINY,
    "srresnet_x4 tiny": TINY,
    "srresnet_x4 slopes": {"num_blocks": 2, "channels": 4, "shared_slopes": False, "tanh": True},
    "srgan_voc_x2 tiny": {"channels": 4},
    "srgan_voc_x8 tiny": {"channels": 4},
    "msrresnet_x4 tiny": TINY,
    "msrresnet_x4 gray": {**TINY, "image_channels": 1},
    "msrresnet_x4 RGBA": {**TINY, "image_channels": 4},
    "srcnn_x4 untrained": {},
    "srcnn_x4 fast": {"kernel_size": 1},
}
SHIPPED = [
    spec.name
    for spec in map(ge.zoo.get_spec, ge.list_models())
    if spec.weights_kind == "shipped" and spec.net.partition(".")[2] not in SPANDREL
]
SHAPES = ((1, 3, 48, 56), (2, 3, 43, 49))
"""Style nets reflect 40 pixels."""
RUN = """
import runpy, sys
sys.modules.update(dict.fromkeys(("gluon_enhance", "mxnet")))  # an import of them fails
import numpy, torch
torch.set_num_threads(1)
for folder in sys.argv[1:]:
    name = folder.rpartition("/")[2].split()[0]
    net = runpy.run_path(f"{folder}/{name}.py")["load"]()
    with torch.inference_mode():
        batches = map(torch.from_numpy, numpy.load(f"{folder}/batches.npz").values())
        numpy.savez(f"{folder}/results.npz", *(net(batch).numpy() for batch in batches))
"""


ROWS = [*OPTIONS, *SHIPPED]


def made(row):
    """A shipped net; or a small one whose norms and slopes are not their initial, trivial ones."""
    if row in SHIPPED:
        return ge.get_model(row, pretrained=True)
    name, rng = row.split()[0], np.random.default_rng(0)
    net = ge.get_model(name, prefix=f"{name}_", **OPTIONS[row])
    net.initialize(mx.init.Xavier())
    for key, parameter in net._collect_params_with_prefix().items():
        if key.endswith(("alpha", "gamma", "beta", "running_mean", "running_var", "bias")):
            parameter.set_data(mx.nd.array(rng.uniform(0.2, 0.8, parameter.shape)))
    return net


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What each row's file and net make of batches of two sizes: {row: [(file's, net's), ...]}."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    top, rng, nets = tmp_path_factory.mktemp("torch"), np.random.default_rng(0), {}
    for row in ROWS:
        net = made(row)
        ge.export(net, top / row, ["torch"])
        batches = [rng.random(shape, np.float32) for shape in SHAPES]
        np.savez(top / row / "batches.npz", *batches)
        nets[row] = [net(mx.nd.array(batch)).asnumpy() for batch in batches]
    subprocess.run([sys.executable, "-I", "-c", RUN, *(str(top / row) for row in ROWS)], check=True)
    return {row: list(zip(np.load(top / row / "results.npz").values(), nets[row])) for row in ROWS}


@pytest.mark.parametrize("row", ROWS)
def test_file_gives_the_nets_numbers_where_neither_package_nor_mxnet_are(row, answers):
    for result, expected in answers[row]:
        assert np.abs(result - expected).max() <= 1e-5


def test_rows_have_every_option_of_every_class_with_a_file():
    """Each argument has two values at least, but for sizes, and every norm and scale is there."""
    values = {}
    for row in ROWS:
        built = built_in_pytorch(made(row))
        for argument, value in built["arguments"].items():
            values.setdefault((built["class"], argument), set()).add(str(value))
    assert {cls for cls, _ in values} == set(FILES)
    assert {key for key, seen in values.items() if len(seen) == 1} == set()
    assert values["DPEDResNet", "norm"] == values["StyleNet", "norm"] == set(NORMS)


def test_every_net_of_the_zoo_has_a_file_or_is_one_that_spandrel_loads():
    classes = {type(ge.get_model(name)).__mro__ for name in ge.list_models()}
    assert all(SPANDREL ^ FILES.keys() & {cls.__name__ for cls in mro} for mro in classes)
