"""Which file becomes which."""

from __future__ import annotations

import glob
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Optional

from gluon_enhance.commands.inputs import (
    Results,
    Source,
    check_output,
    is_part,
    is_raster,
    source_of,
)
from gluon_enhance.errors import plural
from gluon_enhance.photos import (
    IMAGE_SUFFIXES,
    WRITTEN_SUFFIXES,
    result_suffix,
    scan,
    usual_suffixes,
)
from gluon_enhance.rasters.names import absolute_name, stem_of


@dataclass(frozen=True)
class Job:
    """One input and where its result goes.

    `problem` says why it cannot be done, and `is_done` that it was in an earlier run.
    """

    source: Source
    target: Path
    problem: Optional[str] = None
    is_done: bool = False

    @property
    def name(self) -> str:
        """What to call the input in a line."""
        return stem_of(self.source) if isinstance(self.source, str) else self.source.name

    def unfinished(self) -> dict:
        """Report that it was not begun."""
        return {"input": str(self.source), "output": str(self.target), "status": "unfinished"}

    def absolute(self) -> Job:
        """Name the files in a way that holds in other folders."""
        source = self.source
        source = absolute_name(source) if isinstance(source, str) else source.absolute()
        return replace(self, source=source, target=self.target.absolute())


@dataclass(frozen=True)
class Plan:
    """The jobs, and what is none.

    Attributes
    ----------
    jobs : list of Job
    results : list of Path
        Results of earlier runs among the inputs.
    others : list of Path
        Files in folders that are no pictures by their suffix.
    subfolders : list of Path
        Not entered without ``--recursive``; the output folder is none.
    unreadable : dict of Path to str
        Folder -> why it cannot be read.
    """

    jobs: list[Job] = field(default_factory=list)
    results: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    subfolders: list[Path] = field(default_factory=list)
    unreadable: dict[Path, str] = field(default_factory=dict)

    def left_out(self) -> str:
        """Count what is left out, and say why; an empty text if it is nothing."""
        suffixes = Counter(path.suffix.lower() or "without suffix" for path in self.others)
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common())
        counts = (
            (self.results, "result", " of earlier runs"),
            (self.others, "file", f" of other kinds ({kinds})"),
            (self.subfolders, "subfolder", ", which --recursive would enter"),
        )
        texts = [f"{plural(len(paths), noun)}{why}" for paths, noun, why in counts if paths]
        return "; ".join(texts)


def plan_jobs(
    inputs,
    output: Optional[Path],
    suffix: str,
    ext: Optional[str],
    recursive: bool,
    outscale: float,
) -> Plan:
    """Turn files, folders, globs and names of datasets into jobs.

    Results of earlier runs are no inputs: what lies in `output`, if this is below a folder that is
    an input, and what `Results` tells. An original whose result lies in its own folder, or below,
    and was not named singly, is done.

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
    recursive : bool
    outscale : float
        Ratio of an output's size to its input's.

    Raises
    ------
    ValueError
        If nothing was found or an option cannot be served.
    """
    if output is not None:
        check_output(output)
    check_ext(ext)
    plan, results = Plan(), Results(suffix, ext, outscale)
    found = list(dict.fromkeys(one for text in inputs for one in _find(text, recursive, plan)))
    if output:
        plan.subfolders[:] = [
            path for path in plan.subfolders if path.resolve() != output.resolve()
        ]
    files = [one for one in found if isinstance(one[0], Path)]
    below = {path for path, base in files if output and _is_below(path, output, base)}
    by_name = results.among([one for one in files if one[0] not in below])
    plan.results.extend([*below, *by_name])
    found = [one for one in found if one[0] not in below and one[0] not in by_name]
    if not found and not plan.unreadable:
        raise ValueError(_nothing(inputs, plan, recursive))
    single = output if _is_a_file(output, inputs, found) else None
    inputs_left = [path for path, _ in found if isinstance(path, Path)]
    taken = {path.resolve() for path in inputs_left if path.exists()}
    known = {path.resolve() for path in by_name if not is_part(path)}  # a part may be another
    named = {Path(text) for text in inputs}
    for path, base in found:
        target = single or _target(path, base, output, suffix, ext)
        place, problem = target.resolve(), None
        if place in taken:
            problem = (
                f"its output {target} is an input, or the output of another; "
                "give another --suffix, --ext or -o"
            )
        is_found = isinstance(path, Path) and path not in named
        is_own = is_found and base.resolve() in place.parents
        is_done = place in known or (is_own and results.is_result(target, path))
        taken.add(place)
        plan.jobs.append(Job(path, target, problem, is_done and not problem))
    return plan


def check_ext(ext: Optional[str]) -> None:
    """Refuse an ``--ext`` that is none of a format that is written."""
    if ext is not None and f".{ext.lower().lstrip('.')}" not in WRITTEN_SUFFIXES:
        raise ValueError(f"--ext is {ext!r}; choose {usual_suffixes()}")


def _find(text, recursive, plan):
    """Yield (input, folder that outputs are kept relative to), and tell the plan what is none."""
    if not text:
        raise ValueError("an input is an empty text; name a file, a folder or a quoted glob")
    path = source_of(text)
    if isinstance(path, str):
        yield path, Path()
    elif path.is_dir():
        contents = scan(path, recursive)
        plan.others.extend(contents.others)
        plan.subfolders.extend(contents.subfolders)
        plan.unreadable.update(contents.unreadable)
        yield from ((picture, path) for picture in contents.pictures)
    elif not path.exists() and glob.has_magic(text):
        for entry in sorted(glob.glob(text, recursive=True)):
            if not Path(entry).is_dir():
                yield Path(entry), Path(entry).parent
    else:
        yield path, path.parent


def _is_a_file(output, inputs, found):
    """Tell whether an output is the name of the one result, not of a folder."""
    return (
        output is not None
        and not output.is_dir()
        and len(found) == 1
        and output.suffix.lower() in IMAGE_SUFFIXES  # some are refused later
        and not Path(inputs[0]).is_dir()
    )


def _is_below(path, output, base):
    """Tell whether a path lies in an output folder that lies in the folder that was listed."""
    output = output.resolve()
    return base.resolve() in output.parents and output in path.resolve().parents


def _nothing(inputs, plan, recursive):
    hint = "" if recursive else "; for subfolders, add --recursive"
    others = f"; left out: {plan.left_out()}" if plan.left_out() else ""
    return f"no image in {', '.join(inputs)}{hint}{others}"


def _target(source, base, output, suffix, ext):
    own = f".{ext.lstrip('.')}" if ext else _own_suffix(source)
    if isinstance(source, str):
        return (output or base) / (stem_of(source) + suffix + own)
    folder = output / source.parent.relative_to(base) if output else source.parent
    return folder / (source.stem + suffix + own)


def _own_suffix(source):
    """Return the suffix of a result: that of the input, or of a format that can be written."""
    suffix = source.suffix if isinstance(source, Path) else ""
    is_written = suffix.lower() in WRITTEN_SUFFIXES
    return ".tif" if not is_written and is_raster(source) else result_suffix(suffix)
