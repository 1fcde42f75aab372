"""A small study, whose pictures are all different, for the tests of studies."""

import numpy as np

from gluon_enhance.study.design import Study
from gluon_enhance.study.make import make_study

METHODS = ("nearest", "secret_net", "original")


def small_study(folder, **changes):
    """Make a study of 3 methods and 2 pictures, and 1 for training.

    Returns
    -------
    study : Study
    pictures : dict of str to dict of str to ndarray
        Picture -> method -> pixels.
    """
    values = {"title": "Sharp or not", "methods": METHODS, "pictures": ("meadow", "harbor")}
    study = Study(**{**values, "training": ("practice",), "reference": "original", **changes})
    rng = np.random.default_rng(0)
    pictures = {
        name: {method: rng.integers(0, 256, (48, 64, 3), np.uint8) for method in study.methods}
        for name in (*study.training, *study.pictures)
    }
    make_study(folder, study, pictures.items())
    return study, pictures
