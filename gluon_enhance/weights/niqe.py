"""NIQE's models as files: those that are fitted here, and the official one."""

from __future__ import annotations

import os
import tokenize
import zipfile

import numpy as np

from gluon_enhance.atomic import whole_file
from gluon_enhance.errors import WeightsError
from gluon_enhance.imaging.niqe import FEATURES, NIQEModel
from gluon_enhance.small_files import open_regular
from gluon_enhance.weights import store
from gluon_enhance.weights.readers.archives import check_members
from gluon_enhance.weights.readers.torch import DAMAGE

OFFICIAL = "niqe_pris_params.npz"
"""Name in the manifest of the authors' model, as BasicSR keeps it."""
KEYS = {"mu_pris_param": (FEATURES,), "cov_pris_param": (FEATURES, FEATURES)}
"""What a file holds: the mean, which may have an axis of length 1 first, and the covariance."""


def official_niqe(root: str | os.PathLike | None = None) -> NIQEModel:
    """Find or download the authors' model, which published scores are made with.

    Raises
    ------
    WeightsError
        As `gluon_enhance.weights.store.find`.
    """
    return read_niqe(store.find([OFFICIAL], root))


def read_niqe(path: str | os.PathLike) -> NIQEModel:
    """Read a model that `write_niqe` wrote, or the official one.

    Raises
    ------
    WeightsError
        If it cannot be read, or does not hold a finite mean and covariance of 36 features.
    """
    path = store.given(path)
    try:
        with open_regular(path) as stream:
            with zipfile.ZipFile(stream) as archive:
                check_members(archive.infolist(), path.stat().st_size)
            stream.seek(0)
            arrays = np.load(stream, allow_pickle=False)
            mean, covariance = (
                np.asarray(arrays[key], np.float64).reshape(shape) for key, shape in KEYS.items()
            )
    except (*DAMAGE, OSError, MemoryError, tokenize.TokenError) as error:
        raise WeightsError(
            f"{path} is no model of NIQE ({error!s:.200}); give a file of `gluon-enhance niqe fit`"
        ) from error
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise WeightsError(f"{path} holds NaN or infinity; fit the model of NIQE again")
    return NIQEModel(mean, covariance)


def write_niqe(path: str | os.PathLike, model: NIQEModel) -> None:
    """Write a model to an ``.npz`` file, which is whole under its name or not there."""
    with whole_file(path) as part, open(part, "wb") as stream:  # savez would add a suffix to a name
        np.savez(stream, **dict(zip(KEYS, (model.mean, model.covariance))))
