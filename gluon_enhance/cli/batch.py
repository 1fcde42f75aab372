"""Which file becomes which, and the work on one."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

import numpy as np

from gluon_enhance.data.folders import IMAGE_SUFFIXES
from gluon_enhance.errors import ImageError
from gluon_enhance.files import FORMATS, check_writable, read_image, write_image
from gluon_enhance.imaging.histogram import match_histograms
from gluon_enhance.imaging.resize import resize_rounding_once


@dataclass(frozen=True)
class Job:
    """One input and where its result goes; `problem` says why it cannot be done."""

    source: Path
    target: Path
    problem: Optional[str] = None


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


def run_job(
    job: Job,
    enhancer,
    outscale: float,
    match_colors: bool = False,
    progress: Optional[Callable[[int, int], None]] = None,
) -> dict:
    """Read, enhance and write one image; `match_colors` gives it its input's histograms.

    Returns
    -------
    dict
        ``width``, ``height`` of the result.

    Raises
    ------
    GluonEnhanceError, ValueError, OSError
        With what to tell the user; no file is left under the final name.
    """
    if job.problem:
        raise ImageError(job.problem)
    photo = read_image(job.source)
    pixels = photo.pixels
    size = [max(1, round(n * outscale)) for n in pixels.shape[:2]]
    check_writable(job.target, (*size, *pixels.shape[2:]), pixels.dtype)
    result = enhancer(pixels, progress=progress)
    if list(result.shape[:2]) != size:
        result = resize_rounding_once(result, size)
    if match_colors:
        result = _match_colors(result, pixels)
    job.target.parent.mkdir(parents=True, exist_ok=True)
    write_image(job.target, photo.with_pixels(result))
    return {"width": size[1], "height": size[0]}


def _match_colors(result, pixels):
    """Match the histograms of all channels but alpha to the input's."""
    if pixels.shape[2:] not in ((2,), (4,)):
        return match_histograms(result, pixels)
    matched = match_histograms(result[..., :-1], pixels[..., :-1])
    return np.concatenate([matched, result[..., -1:]], axis=2)
