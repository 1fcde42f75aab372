"""Fixtures that several tests share."""

import inspect
import os
import sys
from contextlib import contextmanager
from functools import partialmethod
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from chromium import chromium
from click.testing import CliRunner, Result

from gluon_enhance import framework


def pytest_configure(config):
    # Small nets take half as long in the thread that calls; tests of the default run processes.
    framework.compute_in_caller()
    if framework.is_mxnet_installed():
        framework.import_mxnet()


if "mix_stderr" in inspect.signature(CliRunner).parameters:
    # Click before 8.2 keeps standard error apart only if it is told to, not in `output`, and some
    # versions do not flush it.
    isolation = CliRunner.isolation

    @contextmanager
    def flushed(runner, *arguments, **options):
        with isolation(runner, *arguments, **options) as streams:
            sys.stderr.reconfigure(line_buffering=True)
            yield streams

    CliRunner.__init__ = partialmethod(CliRunner.__init__, mix_stderr=False)
    CliRunner.isolation = flushed
    Result.output = property(lambda result: result.stdout + result.stderr)


@pytest.fixture(scope="session")
def reference_data():
    """The folder of reference images and weights, which is not part of the project."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the reference images are not there (shared/data beside the checkout)")
    return folder


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch, tmp_path_factory):
    """Weights and caches of the user's machine must not decide a test."""
    for name in [n for n in os.environ if n.startswith(("GLUON_ENHANCE_", "MXNET_HOME"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path_factory.mktemp("mxnet_home")))


@pytest.fixture
def picture():
    """A picture with slopes, an edge and texture: (61, 47, 3) uint8."""
    rows, columns = np.mgrid[0:61, 0:47]
    disc = (rows - 30) ** 2 + (columns - 20) ** 2 < 200
    noise = np.random.default_rng(1).integers(0, 30, (61, 47, 3))
    slopes = np.stack([rows * 3, columns * 4, 180 - rows], axis=-1)
    return (slopes + 40 * disc[..., None] + noise).astype(np.uint8)


@pytest.fixture
def full_disk():
    """Return a context in which files get no longer than so many bytes, as on a full disk."""
    resource = pytest.importorskip("resource", reason="no limits of files here")

    @contextmanager
    def limited(size):
        former = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, former)

    return limited


class Repeating:
    """Stands for an `Enhancer`: repeats each pixel."""

    scale, tile, halo = 4, 64, 1

    def __init__(self, model="", **options):
        self.options = options
        self.scale = 1 if model == "same_size" else 4
        self.spec = SimpleNamespace(name="fake", multiple=1, unit=1, min_size=1, tiling="exact")

    def __call__(self, image, progress=None):
        return np.repeat(np.repeat(image, self.scale, axis=0), self.scale, axis=1)

    def describe(self):
        return {"engine": "openvino", "precision": "fp32"}


@pytest.fixture
def enhance_with_repeats(monkeypatch):
    """Return what runs ``gluon-enhance enhance`` here, with `Repeating` for the net."""
    from gluon_enhance.commands import enhance as enhance_module

    monkeypatch.setattr(enhance_module, "load", Repeating)

    def run(*arguments, **options):
        return CliRunner().invoke(enhance_module.enhance, [str(a) for a in arguments], **options)

    return run


@pytest.fixture
def browser(tmp_path):
    """A real browser, whose log has what its console says and what it asks the network for."""
    with chromium(tmp_path / "browser") as driver:
        yield driver
