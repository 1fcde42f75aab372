"""Which file becomes which."""

from __future__ import annotations

import glob
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from gluon_enhance.cli.kinds import Source, check_output, is_raster, source_of
from gluon_enhance.data.folders import IMAGE_SUFFIXES
from gluon_enhance.files import FORMATS
from gluon_enhance.geotiff.names import absolute_name, stem_of


@dataclass(frozen=True)
class Job:
    """One input and where its result goes; `problem` says why it cannot be done."""

    source: Source
    target: Path
    problem: Optional[str] = None

    @property
    def name(self) -> str:
        """What to call the input in a line."""
        return stem_of(self.source) if isinstance(self.source, str) else self.source.name

    def absolute(self) -> Job:
        """Name the files in a way that holds in other folders."""
        source = self.source
        source = absolute_name(source) if isinstance(source, str) else source.absolute()
        return replace(self, source=source, target=self.target.absolute())


def plan_jobs(
    inputs, output: Optional[Path], suffix: str, ext: Optional[str], recursive: bool
) -> list[Job]:
    """Turn files, folders, globs and names of datasets into jobs.

    Parameters
    ----------
    inputs : sequence of str
        What is no plain file, such as a URL, has its result in the current folder by default.
    output : Path, optional
        A file, if there is one input file and the path ends in an image suffix; else a folder,
        which keeps the subfolders of folder inputs.
    suffix : str
        Added to the stem, unless `output` is a file.
    ext : str, optional
        Replaces the input's suffix.

    Raises
    ------
    ValueError
        If nothing was found or an option cannot be served.
    """
    if output is not None:
        check_output(output)
    if ext is not None and f".{ext.lower().lstrip('.')}" not in FORMATS:
        raise ValueError(f"--ext is {ext!r}; choose png, jpg, tif or webp")
    found = [(path, base) for text in inputs for path, base in _find(text, recursive)]
    if not found:
        raise ValueError(
            f"no image in {', '.join(inputs)}"
            + ("" if recursive else "; for subfolders, add --recursive")
        )
    is_file = (
        output is not None
        and not output.is_dir()
        and len(found) == 1
        and output.suffix.lower() in FORMATS
        and not Path(inputs[0]).is_dir()
    )
    files = (path for path, _ in found if isinstance(path, Path))
    jobs, taken = [], {path.resolve() for path in files if path.exists()}
    for path, base in dict.fromkeys(found):
        target = output if is_file else _target(path, base, output, suffix, ext)
        problem = None
        if target.resolve() in taken:
            problem = (
                f"its output {target} is an input, or the output of another; "
                "give another --suffix, --ext or -o"
            )
        taken.add(target.resolve())
        jobs.append(Job(path, target, problem))
    return jobs


def _find(text, recursive):
    """Yield (input, folder that outputs are kept relative to)."""
    path = source_of(text)
    if isinstance(path, str):
        yield path, Path()
    elif path.is_dir():
        entries = sorted(path.rglob("*") if recursive else path.iterdir())
        for entry in entries:
            if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith("."):
                yield entry, path
    elif not path.exists() and glob.has_magic(text):
        for entry in sorted(glob.glob(text, recursive=True)):
            if not Path(entry).is_dir():
                yield Path(entry), Path(entry).parent
    else:
        yield path, path.parent


def _target(source, base, output, suffix, ext):
    own = f".{ext.lstrip('.')}" if ext else _own_suffix(source)
    if isinstance(source, str):
        return (output or base) / (stem_of(source) + suffix + own)
    folder = output / source.parent.relative_to(base) if output else source.parent
    return folder / (source.stem + suffix + own)


def _own_suffix(source):
    """Return the suffix of a result; many formats are read only."""
    if isinstance(source, Path) and source.suffix.lower() in FORMATS:
        return source.suffix
    return ".tif" if is_raster(source) else ".png"
