from pathlib import Path

import numpy as np
import pytest
from torch_files import write_legacy, write_zip

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.errors import WeightsError  # noqa: E402
from gluon_enhance.models.rrdbnet import RRDBNet  # noqa: E402
from gluon_enhance.weights import load, readers, vgg  # noqa: E402
from gluon_enhance.weights.manifest import manifest  # noqa: E402
from gluon_enhance.weights.names.official import COUNTED, LAYOUTS  # noqa: E402

BLOCKS = 2
#: The three naming schemes of official files, for 2 blocks; {i} {j} {k}: block, RDB, convolution.
OLD = {
    "head": "model.0",
    "block": "model.1.sub.{i}.RDB{j}.conv{k}.0",
    "body.2": "model.1.sub.2",
    "upsample.0": "model.3",
    "upsample.1": "model.6",
    "tail.0": "model.8",
    "tail.2": "model.10",
}
MIDDLE = {
    "head": "conv_first",
    "block": "RRDB_trunk.{i}.RDB{j}.conv{k}",
    "body.2": "trunk_conv",
    "upsample.0": "upconv1",
    "upsample.1": "upconv2",
    "tail.0": "HRconv",
    "tail.2": "conv_last",
}
NEW = {
    "head": "conv_first",
    "block": "body.{i}.rdb{j}.conv{k}",
    "body.2": "conv_body",
    "upsample.0": "conv_up1",
    "upsample.1": "conv_up2",
    "tail.0": "conv_hr",
    "tail.2": "conv_last",
}


def small_net(scale=4):
    return RRDBNet(scale, num_blocks=BLOCKS, channels=8, growth_channels=4)


def official(layout, scale=4, dtype=np.float32):
    """Random weights: {our name: array} and the same under the official names."""
    rng = np.random.default_rng(0)
    names = {ours: theirs for ours, theirs in layout.items() if ours != "block"}
    names.update(
        {
            f"body.{i}.rdb{j}.conv{k}": layout["block"].format(i=i, j=j, k=k)
            for i in range(BLOCKS)
            for j in (1, 2, 3)
            for k in (1, 2, 3, 4, 5)
        }
    )
    shapes = {name: p.shape for name, p in small_net(scale)._collect_params_with_prefix().items()}
    ours = {name: rng.random(shape).astype(dtype) for name, shape in shapes.items()}
    theirs = {
        f"{names[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": array
        for name, array in ours.items()
    }
    return ours, theirs


def loaded(net):
    return {k: p.data().asnumpy() for k, p in net._collect_params_with_prefix().items()}


def assert_holds(net, ours):
    arrays = loaded(net)
    assert arrays.keys() == ours.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(arrays[name], array.astype(np.float32), name)


def refusal(function, *arguments):
    with pytest.raises(WeightsError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("layout", [OLD, MIDDLE, NEW], ids=["old", "middle", "new"])
@pytest.mark.parametrize("scale", [4, 2, 1])
def test_each_official_layout_lands_in_its_place(layout, scale):
    ours, theirs = official(layout, scale)
    assert_holds(load.load_state(small_net(scale), theirs), ours)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_a_pth_file_loads_into_an_initialized_net(tmp_path, write):
    ours, theirs = official(MIDDLE)
    net = small_net()
    net.initialize()
    write(tmp_path / "net.pth", theirs)
    assert load.load_weights(net, tmp_path / "net.pth") is net
    assert_holds(net, ours)


def test_averaged_weights_are_preferred():
    ours, theirs = official(NEW)
    other = {name: array + 1 for name, array in theirs.items()}
    assert_holds(load.load_state(small_net(), {"params": other, "params_ema": theirs}), ours)
    assert_holds(load.load_state(small_net(), {"params": theirs}), ours)


def test_the_prefix_of_data_parallel_training_is_dropped():
    ours, theirs = official(OLD)
    state = {f"module.{name}": array for name, array in theirs.items()}
    assert_holds(load.load_state(small_net(), state), ours)


def test_half_precision_becomes_single():
    ours, theirs = official(NEW, dtype=np.float16)
    assert_holds(load.load_state(small_net(), theirs), ours)


def test_missing_left_over_and_misshapen_weights_are_listed_and_the_net_stays():
    ours, theirs = official(NEW)
    net = load.load_state(small_net(), theirs)
    wrong = {name: array + 1 for name, array in theirs.items()}
    del wrong["conv_hr.bias"]
    wrong["conv_extra.weight"] = np.zeros(3)
    wrong["conv_last.weight"] = np.zeros((1, 8, 3, 3))
    wrong["conv_last.bias"] = "text"
    message = refusal(load.load_state, net, wrong, "this file")
    assert message.startswith("this file does not fit this RRDBNet")
    assert "missing tail.0.bias" in message
    assert "left over conv_extra.weight" in message
    assert "tail.2.weight (1, 8, 3, 3) instead of (3, 8, 3, 3)" in message
    assert "tail.2.bias no array instead of (3,)" in message
    assert_holds(net, ours)


def test_a_net_of_another_size_is_refused_with_the_names_counted():
    _, theirs = official(MIDDLE)
    big = RRDBNet(num_blocks=3, channels=8, growth_channels=4)
    message = refusal(load.load_state, big, theirs)
    assert "missing body.2.rdb1.conv1.weight" in message
    assert "body.2.rdb2.conv5.bias and 12 more" in message  # of 15 convolutions and body.3


def test_community_variants_are_refused():
    _, theirs = official(OLD)
    theirs["model.1.sub.0.RDB1.conv1x1.weight"] = np.zeros((4, 8, 1, 1))
    message = refusal(load.load_state, small_net(), theirs)
    assert "left over body.0.rdb1.conv1x1.weight" in message
    assert "community variant" in message


def test_weights_of_another_net_are_refused_by_their_names():
    message = refusal(load.load_state, small_net(), {"layers.0.weight": np.zeros(3)})
    assert "no weights of RRDBNet in a known layout: its names are layers.0.weight" in message
    assert "known layout" in refusal(load.load_state, small_net(), {})


def test_params_files_come_back(tmp_path):
    ours, theirs = official(NEW)
    load.load_state(small_net(), theirs).save_parameters(str(tmp_path / "net.params"))
    assert_holds(load.load_weights(small_net(), tmp_path / "net.params"), ours)


def test_other_suffixes_are_refused():
    message = refusal(load.load_weights, small_net(), "net.onnx")
    assert "'.onnx', not one of .params, .pth, .pt" in message


def test_manifest_says_how_every_file_is_read():
    companions = {name for file in manifest().values() for name in file.companions}
    for name, file in manifest().items():
        reader = {**readers.SUFFIXES, ".h5": "keras", ".npz": "npz"}.get(Path(name).suffix)
        assert file.reader == reader or name in companions and file.reader in readers.READERS
        if file.layout == "VGGFeatures":  # a loss network
            assert file.convention in vgg.CONVENTIONS and Path(name).suffix in vgg.FORMATS
        else:
            metrics = {"AlexNetFeatures", "SqueezeNetFeatures", "LPIPS", "DISTS", "NIQEModel"}
            layouts = {*LAYOUTS, *COUNTED, *metrics}
            assert file.layout in layouts and file.convention is None
