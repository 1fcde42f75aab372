"""Files as one ZIP archive, which is made while it is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from zipfile import ZipFile, ZipInfo

CHUNK = 1 << 20


class _Sink:
    """A file that cannot be sought in, and gives away what was written to it."""

    def __init__(self):
        self._parts: list[bytes] = []

    def write(self, data):
        self._parts.append(bytes(data))
        return len(data)

    def flush(self):
        pass

    def take(self):
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def zipped(files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield an archive of files under their names, as they are: pictures are compressed.

    Of several with one name the later get a number. A file that was removed meanwhile is left out.
    """
    sink, taken = _Sink(), set[str]()
    with ZipFile(sink, "w") as archive:  # type: ignore[call-overload]
        for name, path in files:
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            name = _free(name, taken)
            taken.add(name)
            with file, archive.open(ZipInfo(name), "w", force_zip64=True) as out:
                while data := file.read(CHUNK):
                    out.write(data)
                    yield sink.take()
    yield sink.take()


def _free(name, taken):
    path, number, free = PurePath(name), 1, name
    while free in taken:
        number += 1
        free = f"{path.stem} ({number}){path.suffix}"
    return free
