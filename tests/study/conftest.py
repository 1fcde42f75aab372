"""A small study, whose pictures are all different."""

import numpy as np
import pytest

from gluon_enhance.study.database import Database, file_url
from gluon_enhance.study.design import Study
from gluon_enhance.study.make import make_study

METHODS = ("nearest", "secret_net", "original")


@pytest.fixture
def make(tmp_path, rng):
    """Return what makes a study of 3 methods and 2 pictures, and 1 for training, in a folder."""

    def made(**changes):
        study = Study(
            **{
                "title": "Sharp or not",
                "methods": METHODS,
                "pictures": ("meadow", "harbor"),
                "training": ("practice",),
                "reference": "original",
                **changes,
            }
        )
        names = (*study.training, *study.pictures)
        pictures = [
            (name, {m: rng.integers(0, 256, (48, 64, 3), np.uint8) for m in study.methods})
            for name in names
        ]
        make_study(tmp_path / "study", study, pictures)
        return study, dict(pictures)

    return made


@pytest.fixture
def open_database(tmp_path):
    """Return what opens the database of the study's folder."""
    opened = []

    def database(study):
        opened.append(Database(file_url(tmp_path / "study"), study))
        return opened[-1]

    yield database
    for one in opened:
        one.close()
