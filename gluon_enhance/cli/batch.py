"""Which file becomes which."""

from __future__ import annotations

import glob
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from gluon_enhance.data.folders import IMAGE_SUFFIXES
from gluon_enhance.files import FORMATS


@dataclass(frozen=True)
class Job:
    """One input and where its result goes; `problem` says why it cannot be done."""

    source: Path
    target: Path
    problem: Optional[str] = None

    def absolute(self) -> Job:
        """Name the files in a way that holds in other folders."""
        return replace(self, source=self.source.absolute(), target=self.target.absolute())


def plan_jobs(
    inputs, output: Optional[Path], suffix: str, ext: Optional[str], recursive: bool
) -> list[Job]:
    """Turn files, folders and globs into jobs.

    Parameters
    ----------
    inputs : sequence of str
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
    jobs, taken = [], {path.resolve() for path, _ in found if path.exists()}
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
    """Yield (path, folder that outputs are kept relative to)."""
    path = Path(text)
    if path.is_dir():
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


def _target(path, base, output, suffix, ext):
    own = path.suffix if path.suffix.lower() in FORMATS else ".png"  # a format that is read only
    name = path.stem + suffix + (f".{ext.lstrip('.')}" if ext else own)
    return (output / path.parent.relative_to(base) if output else path.parent) / name
