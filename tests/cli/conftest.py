"""Commands without the cost of a net."""

from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from gluon_enhance.cli import enhance as enhance_module


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
    monkeypatch.setattr(enhance_module, "load", Repeating)

    def run(*arguments, **options):
        return CliRunner().invoke(enhance_module.enhance, [str(a) for a in arguments], **options)

    return run
