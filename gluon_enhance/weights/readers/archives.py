"""Zip files of weights: those that unpack to far more than they are get refused."""

from __future__ import annotations

import zipfile

MAX_INFLATION = 20
"""Deflate takes less than half off trained weights; a file that unpacks to more is a bomb."""
MAX_MEMBERS = 5_000
"""Nets of 1,000 layers have fewer arrays; NumPy looks for each through the names of all."""
MAX_SMALL_PICKLE = 1 << 20
"""Bytes of a pickle that any file may hold; others hold less than their tensors."""


def check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse a zip that unpacks to far more than its size in bytes, or has too many members.

    Raises
    ------
    ValueError
        With the figure.
    """
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"it has {len(members):,} members, more than {MAX_MEMBERS:,}")
    if any(
        info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in members
    ):
        raise ValueError("its zip compression is not one that PyTorch reads")
    if any(info.compress_size > size for info in members):
        raise ValueError("a member has more bytes than the file")
    total = sum(info.file_size for info in members)
    if total > MAX_INFLATION * size:
        raise ValueError(f"it unpacks to {total:,} bytes, more than {MAX_INFLATION} times its size")
    pickled = sum(info.file_size for info in members if info.filename.endswith(".pkl"))
    if pickled > max(size, MAX_SMALL_PICKLE):
        raise ValueError(f"it unpacks to a pickle of {pickled:,} bytes, more than its size")
