"""What tests of the training scripts share: scripts as modules, small photos, a small VGG."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from same_state import assert_same_state

from gluon_enhance.framework import is_mxnet_installed

collect_ignore_glob = [] if is_mxnet_installed() else ["test_*.py"]

SCRIPTS = Path(__file__).resolve().parents[2] / "train_scripts"
TINY = ("--batch-size", 2, "--patch-size", 8)
"""Options that every script has, for steps of milliseconds."""


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of three smooth pictures of 240x208 pixels."""
    import cv2

    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for index in range(3):
        coarse = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), cv2.resize(coarse, (240, 208)))
    return folder


@pytest.fixture(scope="session")
def noisy_photos(tmp_path_factory):
    """A folder of two gray pictures of 400x400 pixels with an edge and noise, to take from."""
    import cv2

    folder = tmp_path_factory.mktemp("noisy_photos")
    rng = np.random.default_rng(0)
    for index in range(2):
        picture = rng.normal(120, 2, (400, 400, 3))
        picture[200:] += 40
        cv2.imwrite(str(folder / f"{index}.png"), np.uint8(np.clip(picture, 0, 255)))
    return folder


@pytest.fixture
def first_sample(monkeypatch):
    """A list that gets the first sample of a run, which then ends without a step."""
    from gluon_enhance.training import recipe

    samples = []
    monkeypatch.setattr(
        recipe,
        "fit",
        lambda step, draw, *rest: samples.append(draw(np.random.default_rng(0))) or [],
    )
    return samples


@pytest.fixture
def vgg_file(monkeypatch, tmp_path):
    """A function: depth -> file of random weights of a VGG with 4 channels in every layer."""
    from gluon_enhance.losses import vgg

    monkeypatch.setattr(vgg, "CHANNELS", (4, 4, 4, 4, 4))

    def write(depth):
        rng = np.random.default_rng(depth)
        arrays, in_channels = {}, 3
        for name in vgg.layer_names(depth):
            if name.startswith("conv"):
                key = f"block{name[4]}_conv{name[6]}"
                kernel = rng.normal(0, 0.25, (3, 3, in_channels, 4)).astype(np.float32)
                arrays[f"{key}.kernel"] = kernel
                arrays[f"{key}.bias"] = np.zeros(4, np.float32)
                in_channels = 4
        path = tmp_path / f"vgg{depth}.npz"
        np.savez(path, **arrays)
        return path

    return write


@pytest.fixture(scope="session")
def script():
    """A function: name of a script, ``train_`` may be left out -> the script as a module."""

    def load(name):
        path = SCRIPTS / f"{name}.py"
        path = path if path.is_file() else SCRIPTS / f"train_{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def arguments(photos):
    """A function: output folder, more options -> arguments of any script, for small steps."""

    def make(out, *options, data=photos):
        return [str(word) for word in ("--data", data, "--out", out, *TINY, *options)]

    return make


@pytest.fixture
def train(script, arguments):
    """A function that runs ``main`` of a script: its name, the output folder, more options."""

    def run(name, out, *options, **data):
        script(name).main(arguments(out, *options, **data))

    return run


@pytest.fixture
def check_resume(train, tmp_path):
    """A function: train 4 steps at once, and again from step 2 on; the states must be equal."""

    def check(name, *options):
        out = tmp_path / "run"
        steps = ("--iterations", 4, "--save-every", 2, "--log-every", 2)
        train(name, out, *options, *steps)
        newest = out / "checkpoints" / "step-0000004"
        whole = newest.rename(tmp_path / "whole")  # what a kill before its last step leaves
        train(name, out, *options, *steps, "--resume")
        assert_same_state(whole, newest)

    return check
