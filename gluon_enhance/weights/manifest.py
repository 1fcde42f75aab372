"""The right files of weights, by name, size and hash: the manifest's and the model cards'."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Optional

from gluon_enhance.atomic import write_text
from gluon_enhance.errors import WeightsError
from gluon_enhance.small_files import open_regular, read_small

BLOCK = 1 << 20
SHA256_DIGITS = 64
HASHES = {"sha256": "SHA-256", "sha1": "SHA-1", "md5": "MD5"}
"""Fields of a file -> what errors call them; the first that is known is checked."""


@dataclass(frozen=True)
class WeightFile:
    """A file of weights and how to tell that it is the right one.

    Attributes
    ----------
    name : str
    sha256 : str
        The whole hash, or its first digits where only they are published (torch hub puts eight
        into the file name); empty where only another hash is.
    size : int, optional
        Bytes.
    url, license, reader, layout : str, optional
        Where it can be had, in a zip if the address ends so; its license; the name of its reader,
        and the class of the net whose names for weights `gluon_enhance.weights` leads its own to.
    companions : tuple of str
        Files of the manifest that must lie beside it.
    sha1, md5 : str
        What is published in place of a SHA-256.
    convention : str, optional
        What a loss network's input must be, one of `gluon_enhance.weights.vgg.CONVENTIONS`.
    extra : str, optional
        The extra of this package that installs the same weights, in this file or another.
    """

    name: str
    sha256: str
    size: Optional[int] = None
    url: Optional[str] = None
    license: Optional[str] = None
    reader: Optional[str] = None
    layout: Optional[str] = None
    companions: tuple[str, ...] = ()
    sha1: str = ""
    md5: str = ""
    convention: Optional[str] = None
    extra: Optional[str] = None

    @property
    def checked_by(self) -> str:
        """What tells that it is the right one: 'SHA-256', its 'prefix', 'SHA-1' or 'MD5'."""
        if 0 < len(self.sha256) < SHA256_DIGITS:
            return "prefix"
        return next(label for kind, label in HASHES.items() if getattr(self, kind))


@cache
def manifest() -> dict[str, WeightFile]:
    """Read the table of official files, by file name."""
    rows = json.loads(Path(__file__).with_name("manifest.json").read_text(encoding="utf-8"))
    files = {}
    for name, row in rows.items():
        prefix = row.pop("sha256_prefix", "")
        row["sha256"] = row["sha256"] or prefix
        row["companions"] = tuple(row.get("companions", ()))
        files[name] = WeightFile(name, **row)
    return files


def read_card(folder: str | os.PathLike) -> dict:
    """Read a model folder's ``card.json``.

    Raises
    ------
    WeightsError
        If it is missing or is not a card.
    """
    path = Path(folder) / "card.json"
    try:
        card = json.loads(read_small(path))
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read ({error.strerror}): is {folder} the folder of a model?"
        ) from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path} is not JSON ({error!s:.200}): get the model folder again"
        ) from error
    if not isinstance(card, dict) or not isinstance(card.get("files", {}), dict):
        raise WeightsError(f"{path} holds other JSON than a model's card: get the folder again")
    return card


def write_card(folder: str | os.PathLike, card: dict) -> None:
    """Write a model folder's ``card.json``; it gets its name only when it is whole."""
    write_text(Path(folder, "card.json"), json.dumps(card, indent=1) + "\n")


def card_file(card: dict, name: str) -> WeightFile:
    """Take the size and hash of one file from a model's card.

    Raises
    ------
    WeightsError
        If the card does not list it, with a whole SHA-256.
    """
    files = card.get("files")
    row = files.get(name) if isinstance(files, dict) else None
    row = row if isinstance(row, dict) else {}
    digest, size = row.get("sha256"), row.get("size")
    is_whole = isinstance(digest, str) and re.fullmatch(f"[0-9a-f]{{{SHA256_DIGITS}}}", digest)
    if not (is_whole and isinstance(size, (int, type(None)))):
        advice = "use --precision auto" if ".int8." in name else "get or export the model again"
        raise WeightsError(
            f"the card of {card.get('name')!s:.100} lists no {name} with a SHA-256 of 64 digits; "
            f"{advice}"
        )
    return WeightFile(name, str(digest), size)


def fingerprint(path: Path) -> dict:
    """Give the row of a card that `card_file` reads."""
    return {"sha256": sha256(path), "size": path.stat().st_size}


def verify(path: str | os.PathLike, file: WeightFile) -> None:
    """Check size and hash.

    Raises
    ------
    WeightsError
        If either differs; the message says by what, and what to do.
    """
    path = Path(path)
    fault = difference(path, file)
    if fault:
        source = f" and get it from {file.url}" if file.url else ""
        raise WeightsError(
            f"{path} {fault}; delete it{source}, or rename it if it is a model of your own"
        )


def difference(path: Path, file: WeightFile) -> Optional[str]:
    """Say how the file at the path differs from the right one; None if it does not."""
    if path.exists() and not path.is_file():  # a pipe would not end
        return "is no regular file"
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        reason = "it is cut short" if size < file.size else "it is another file"
        return f"has {size:,} of {file.size:,} bytes: {reason}"
    kind = next((kind for kind in HASHES if getattr(file, kind)), None)
    if kind is None:
        return None
    digest, expected = _hash(path, kind), getattr(file, kind)
    if not digest.startswith(expected):
        return (
            f"is cut short or changed: its {HASHES[kind]} is {digest[:16]}..., "
            f"not {expected[:16]}..."
        )
    return None


def sha256(path: str | os.PathLike) -> str:
    """Hash a file block by block; raise a `WeightsError` if it cannot be read, or is a pipe."""
    return _hash(path, "sha256")


def _hash(path, kind):
    digest = hashlib.new(kind, usedforsecurity=False)
    try:
        with open_regular(path) as stream:
            for block in iter(lambda: stream.read(BLOCK), b""):
                digest.update(block)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from error
    return digest.hexdigest()
