"""A folder of the user's own models, each a file that is used by its name, and what names mean."""

from __future__ import annotations

import difflib
import fnmatch
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from gluon_enhance.atomic import whole_file
from gluon_enhance.errors import UnknownModelError, WeightsError
from gluon_enhance.weights.load import read_weights, unwrapped
from gluon_enhance.weights.names.architectures import read_off
from gluon_enhance.weights.readers import SUFFIXES
from gluon_enhance.weights.store import cache_folder, given
from gluon_enhance.zoo.cards import card_of
from gluon_enhance.zoo.recognition import model_name
from gluon_enhance.zoo.table import MODELS

FOLDER_VARIABLE = "GLUON_ENHANCE_MODELS"
ONNX = ".onnx"
FILES = (*SUFFIXES, ONNX)
"""Suffixes of files that are a model by themselves, or with companions of the same name."""


class Row(NamedTuple):
    """What is known of a file of the folder; None where only a run tells, or `fault` why."""

    name: str
    method: str
    scale: Optional[int]
    parameters: Optional[int]
    fault: str = ""


def models_folder() -> Path:
    """Return the folder in ``GLUON_ENHANCE_MODELS``, else ``community`` in the cache."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return Path(folder).expanduser() if folder else cache_folder() / "community"


def community_files() -> dict[str, Path]:
    """Map the names of the models in the folder, sorted, to their files."""
    folder = models_folder()
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {model_name(path): path for path in files if path.suffix.lower() in FILES}


def community_rows(pattern: str = "*") -> list[Row]:
    """Read off what those models of the folder are whose names match a shell pattern."""
    files = community_files().items()
    return [_row(name, path) for name, path in files if fnmatch.fnmatchcase(name, pattern)]


def _row(name, path):
    if path.suffix.lower() == ONNX:
        return Row(name, "ONNX", None, None)
    try:
        state = read_weights(path)
        reading = read_off(state, path)
    except WeightsError as error:
        return Row(name, "not known", None, None, str(error))
    arrays = (one for one in unwrapped(state).values() if isinstance(one, np.ndarray))
    parameters = sum(array.size for array in arrays)
    return Row(name, reading.title, reading.kwargs.get("scale", 1), parameters)


def add_model(file: str | os.PathLike, name: Optional[str] = None) -> Path:
    """Copy a file, with its companions, into the folder.

    Parameters
    ----------
    file : path
    name : str, optional
        What ``-m`` calls it; default the file's own name.

    Returns
    -------
    Path
        Of the copy.

    Raises
    ------
    ValueError
        If the name is no plain one, or is taken.
    WeightsError
        If there is no such file, or no net is known that has such weights.
    """
    source = given(file)
    name = model_name(source) if name is None else name
    if name != model_name(f"{name}.pth"):
        raise ValueError(f"--name is {name!r}; give letters, digits, points, - and _")
    if name.lower() in MODELS or name in community_files():
        raise ValueError(f"--name is {name!r}, which is taken; give another")
    suffix = source.suffix.lower()
    if suffix not in FILES:
        raise WeightsError(f"{source} is no model: its suffix is none of {', '.join(FILES)}")
    if suffix != ONNX:
        read_off(read_weights(source), source)
    folder = models_folder()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}{suffix}"
    copies = {
        one: folder / f"{name}{one.name[len(source.stem) :]}" for one in companions_of(source)
    }
    for old, new in {**copies, source: target}.items():  # what makes it a model comes last
        with whole_file(new) as draft:
            shutil.copyfile(old, draft)
    return target


def companions_of(source: Path) -> list[Path]:
    """List the files that belong to a file of weights."""
    suffix = source.suffix.lower()
    if suffix == ".bin":
        return [source.with_suffix(".param")]
    if suffix == ".index":
        return sorted(source.parent.glob(f"{source.stem}.data-*-of-*"))
    return []


def model_of(text: str) -> tuple[Optional[str], Optional[Path]]:
    """Take apart what names a model.

    Parameters
    ----------
    text : str
        A file, ``NAME=FILE``, a name of the zoo or one of the folder. With a file, the name is of
        the zoo, or that by which a script has trained it.

    Returns
    -------
    name : str or None
        Of the zoo.
    file : Path or None

    Raises
    ------
    UnknownModelError
        If it is nothing of these.
    WeightsError
        If there is no such file.
    """
    is_file = Path(text).suffix.lower() in (*FILES, ".param")
    if is_file and ("=" not in text or Path(text).is_file()):
        path = Path(text)
        return None, given(path.with_suffix(".bin") if path.suffix.lower() == ".param" else path)
    name, _, file = text.partition("=")
    if file:
        path = given(file)
        card = card_of(path) if name.lower() not in MODELS else None
        is_own = card is not None and card["name"] == name  # by which it was trained
        return (None if is_own else name), path
    if name.lower() in MODELS:
        return name, None
    files = community_files()
    if name not in files:
        raise unknown_model(name, [*MODELS, *files])
    return None, files[name]


def unknown_model(name: str, known: Iterable[str]) -> UnknownModelError:
    """Make the error that a model is unknown, with the near ones."""
    near = difflib.get_close_matches(name.lower(), known)
    hint = f"near ones are {', '.join(near)}; " if near else ""
    return UnknownModelError(f"there is no model {name!r}; {hint}`gluon-enhance models` lists all")
