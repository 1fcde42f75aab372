"""Folders of small photos."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photos(rng):
    """Noise: (67, 90, 3) uint8, two of them."""
    return [rng.integers(0, 256, (67, 90, 3), dtype=np.uint8) for _ in range(2)]


@pytest.fixture
def save(tmp_path):
    """Function that writes an array as tmp_path/name and returns the path."""

    def save(name, photo):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(path)
        return path

    return save


@pytest.fixture
def paths(photos, save):
    """The photos as PNG files."""
    return [save(f"{index}.png", photo) for index, photo in enumerate(photos)]


@pytest.fixture
def damaged(tmp_path, paths):
    """A file with a good header whose pixels are cut off."""
    path = tmp_path / "damaged.png"
    path.write_bytes(paths[0].read_bytes()[:3000])
    return path
