"""The official files of LPIPS and DISTS, here with random numbers in the place of theirs."""

import hashlib

import numpy as np
import pytest
from torch_files import write_zip

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.errors import WeightsError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.losses import DISTS, LPIPS, learned_distance  # noqa: E402
from gluon_enhance.losses.learned import NAMES  # noqa: E402
from gluon_enhance.weights import learned, store  # noqa: E402
from gluon_enhance.weights.manifest import manifest  # noqa: E402
from gluon_enhance.weights.vgg import OFFICIAL  # noqa: E402

#: Layers of torchvision's SqueezeNet 1.1 that LPIPS looks at: channels in, of the squeeze, out.
FIRES = {
    3: (64, 16, 64),
    4: (128, 16, 64),
    6: (128, 32, 128),
    7: (256, 32, 128),
    9: (256, 48, 192),
    10: (384, 48, 192),
    11: (384, 64, 256),
    12: (512, 64, 256),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in which files are looked for; no URL is asked."""
    monkeypatch.setenv("GLUON_ENHANCE_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(store, "receive", lambda url, *others: fail(url))
    return tmp_path


def fail(url):
    raise OSError(f"asked {url}")


def state_of_squeezenet(rng):
    shapes = {"features.0": (64, 3, 3, 3), "classifier.1": (1000, 512, 1, 1)}
    for number, (channels, squeezed, expanded) in FIRES.items():
        shapes[f"features.{number}.squeeze"] = (squeezed, channels, 1, 1)
        shapes[f"features.{number}.expand1x1"] = (expanded, squeezed, 1, 1)
        shapes[f"features.{number}.expand3x3"] = (expanded, squeezed, 3, 3)
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = rng.normal(size=shape).astype(np.float32)
        state[f"{name}.bias"] = rng.normal(size=shape[0]).astype(np.float32)
    return state


def heads(rng, channels):
    return {
        f"lin{k}.model.1.weight": rng.random((1, count, 1, 1)).astype(np.float32)
        for k, count in enumerate(channels)
    }


def put(path, state, monkeypatch):
    """Write a file as torch does, and have the manifest take it for the official one."""
    write_zip(path, state)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    row = manifest()[path.name]
    changed = {**row.__dict__, "sha256": digest, "size": path.stat().st_size}
    monkeypatch.setitem(manifest(), path.name, type(row)(**changed))


def test_lpips_takes_the_nets_layers_and_the_authors_weights_of_channels(folder, monkeypatch, rng):
    state, lin = state_of_squeezenet(rng), heads(rng, (64, 128, 256, 384, 384, 512, 512))
    put(folder / learned.BACKBONES["squeeze"], state, monkeypatch)
    put(folder / learned.LPIPS["squeeze"], lin, monkeypatch)
    loss = learned_distance("lpips_squeeze", weight=0.5)
    found = {
        name.removeprefix("features."): parameter.data().asnumpy()
        for name, parameter in loss._collect_params_with_prefix().items()
        if not isinstance(parameter, mx.gluon.Constant)
    }
    expected = {name: array for name, array in state.items() if "classifier" not in name}
    expected |= {name.removesuffix(".model.1.weight"): array for name, array in lin.items()}
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert loss._active and loss._weight == 0.5


def test_dists_takes_the_authors_weights_and_those_of_vgg_16(folder, monkeypatch, rng):
    weights = {name: rng.random((1, 1475, 1, 1)).astype(np.float32) for name in ("alpha", "beta")}
    put(folder / learned.DISTS, weights, monkeypatch)
    asked = []
    monkeypatch.setattr(learned, "load_vgg", lambda features, **_: asked.append(features.depth))
    loss = learned.load_dists(DISTS())
    assert asked == [16]
    for name, array in weights.items():
        assert np.array_equal(getattr(loss, name).data().asnumpy(), array.ravel())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_there_is_named_with_its_address(name, folder):
    net = NAMES[name]
    file = learned.DISTS if net is None else learned.LPIPS[net]
    with pytest.raises(WeightsError, match=f"cannot get {file} from https://.* by hand into"):
        learned_distance(name)


@pytest.mark.parametrize("net", ["alex", "vgg", "squeeze"])
def test_a_net_that_is_not_there_is_named_too(net, folder, monkeypatch, rng):
    loss = LPIPS(net)
    channels = [parameter.shape[1] for parameter in loss._reg_params.values()]
    put(folder / learned.LPIPS[net], heads(rng, channels), monkeypatch)
    file = learned.BACKBONES.get(net, OFFICIAL[16])
    with pytest.raises(WeightsError, match=f"cannot get {file} from https://"):
        learned.load_lpips(loss)


def test_weights_of_another_nets_channels_are_refused(folder, monkeypatch, rng):
    put(folder / learned.LPIPS["alex"], heads(rng, (64, 128, 256, 512, 512)), monkeypatch)
    with pytest.raises(WeightsError, match=r"does not hold the weights of LPIPS: .*lin1 \(1, 128"):
        learned.load_lpips(LPIPS("alex"))


def test_official_files_have_a_whole_hash_and_a_size():
    for name in (*learned.BACKBONES.values(), *learned.LPIPS.values(), learned.DISTS):
        row = manifest()[name]
        assert len(row.sha256) == 64 and row.size and row.license.startswith(("BSD-", "MIT"))
