"""What ``gluon-enhance serve`` does: the work of ``enhance`` and ``compare``, by their options."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, Callable, Optional

import click
import numpy as np

from gluon_enhance import zoo
from gluon_enhance.atomic import write_text
from gluon_enhance.commands.compare import check_count, compare, made, scored
from gluon_enhance.commands.comparison_page import comparison_page
from gluon_enhance.commands.enhance import default_model, enhance, goes_as_raster, work_on
from gluon_enhance.commands.jobs import Job as FileJob
from gluon_enhance.commands.jobs import check_ext
from gluon_enhance.commands.metrics import take_metrics
from gluon_enhance.commands.models import own_row, row_of
from gluon_enhance.commands.photo_options import take_photo_options
from gluon_enhance.commands.pipeline import PhotoWork, attempt_all, software_of
from gluon_enhance.commands.scores import finite
from gluon_enhance.data.folders import read_photo
from gluon_enhance.errors import ImageError, WeightsError
from gluon_enhance.framework import is_mxnet_installed
from gluon_enhance.imaging.arrays import to_dtype, to_float
from gluon_enhance.imaging.resize import KERNELS
from gluon_enhance.inference.enhancer import DEFAULT_MODEL
from gluon_enhance.inference.kernel import SCALE, load
from gluon_enhance.inference.resolve import DENOISING, KEEPING_NOISE
from gluon_enhance.photos import Photo, read_image, read_size, result_suffix, write_image
from gluon_enhance.serving.jobs import Job
from gluon_enhance.serving.limits import TooMuchError
from gluon_enhance.weights import store
from gluon_enhance.weights.niqe import OFFICIAL
from gluon_enhance.weights.readers.gluon import write_params

TAKEN = {
    "enhance": (
        *("model", "outscale", "denoise", "strength", "ext", "quality", "lossless", "depth"),
        *("flatten", "match_colors", "self_ensemble", "precision", "strict", "no_record"),
    ),
    "compare": ("models", "metrics", "crop_border", "precision"),
}
"""Options of the commands that clients may give: none that names a file or a machine."""
BLENDS = {"esrgan_lite_x4": "rrdb_lite_x4", "esrgan_x4": "rrdb_x4"}
"""Sharp nets, and the faithful ones that they were trained on from: nets between them make sense,
as of `interpolate`."""
ALPHA = "alpha"
ALPHA_STEPS = 20
"""Each is a net that is kept in the cache."""
NET_BYTES, WHOLE_NET_BYTES = 700_000_000, 2_500_000_000
"""Memory of the process with a net and a tile, and with one that needs the whole image."""
COPIES, SCORED_COPIES, OF_SCORES = 4, 6, 2
"""How many times its numbers a result takes in memory; of a comparison each, with its text, and as
many pictures as scoring one is like."""
PARTS_OF_CARD = ("training", "protocol", "scores", "kwargs", "int8")


class CommandCraft:
    """Does what the commands do, with one model in memory at a time.

    Parameters
    ----------
    folder : path
        Where nets between two are kept.
    memory : int
        Bytes that the work on a picture may take, by estimate.
    **engine
        Options of an `Enhancer` that the server gives, such as ``threads``.
    """

    def __init__(self, folder: Path, memory: int, **engine: Any):
        self.folder, self.memory, self.engine = folder, memory, engine
        self._models = {row["name"]: row for row in _offered()}
        self._loaded: tuple = (None, None)

    def models(self) -> list[dict[str, Any]]:
        """List the models whose weights are on this machine."""
        return list(self._models.values())

    def picture_of(self, model: str, name: str) -> Optional[Path]:
        """Return ``sample`` or ``curves`` of a shipped model; None if there is none."""
        if self._models.get(model, {}).get("weights") != "shipped":
            return None
        path = store.model_zoo_folder() / model / f"{name}.png"
        return path if name in ("sample", "curves") and path.is_file() else None

    def fields(self, kind: str) -> dict[str, dict]:
        """Map the options of a kind of job to their JSON schemas, as the command declares them."""
        command = {"enhance": enhance, "compare": compare}[kind]
        options = {one.name: one for one in command.params if one.name in TAKEN[kind]}
        fields = {_field(name): _schema(one) for name, one in options.items()}
        fields["model"] = {**fields["model"], "description": "A name of /api/models, or a kernel."}
        if kind == "enhance" and any(row.get(ALPHA) for row in self._models.values()):
            text = "Share of a sharp model, from 0 (its faithful twin) to 1; of those that say so."
            fields[ALPHA] = {"type": "number", "minimum": 0, "maximum": 1, "description": text}
        return fields

    def check(self, kind: str, options: Mapping[str, Sequence[str]], files: list[Path]) -> None:
        """Refuse options that the command would not take, and work that takes too much memory."""
        if kind == "enhance":
            self._check_enhance(options, files)
        else:
            self._check_compare(options, files)

    def do(self, job: Job, folder: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """Do a job; see `gluon_enhance.serving.worker.Craft`."""
        progress(0, 0)
        with _notes(job, folder) as notes:
            do = self._enhance if job.kind == "enhance" else self._compare
            return {**do(job, folder, progress), "notes": notes}

    def preview(self, path: Path, target: Path) -> None:
        """Write a picture as a PNG file of 8 bits, with its color profile."""
        photo = read_image(path)
        pixels = to_dtype(to_float(photo.pixels), np.uint8)
        write_image(target, Photo(pixels, icc_profile=photo.icc_profile))

    def _check_enhance(self, options, files):
        if len(files) != 1:
            raise ValueError(f"there are {len(files)} files; send one for each job")
        parsed = self._parsed("enhance", options)
        row = self._row(parsed["model"] or DEFAULT_MODEL)
        if parsed["denoise"] is not None and not row.get("denoise"):
            raise ValueError(
                f"denoise is for {DENOISING}, where {KEEPING_NOISE} is on the server too, not for "
                f"{row['name']}"
            )
        if parsed["strength"] != 1 and row["scale"] != 1:
            raise ValueError(f"strength is for models of scale 1, not for {row['name']}")
        if ALPHA in parsed and not row.get(ALPHA):
            raise ValueError(f"alpha is not for {row['name']}; take one of {', '.join(BLENDS)}")
        self._check_memory([row], files, COPIES, parsed["outscale"])

    def _check_compare(self, options, files):
        parsed = self._parsed("compare", options)
        models = parsed["models"]
        pictures = [path for path in files if path.name.startswith("file_")]
        with _in_plain_errors():
            check_count(len(pictures), models)
        if len(files) - len(pictures) > 1:
            raise ValueError("there are several references; send one")
        if "niqe" in parsed["metrics"] and not _is_here([OFFICIAL]):
            raise ValueError(f"niqe needs {OFFICIAL}, which is not on this server; leave it out")
        rows = [self._row(name) for name in models]
        count = len(files) + len(models) + OF_SCORES
        self._check_memory(rows, files, SCORED_COPIES * count)

    def _check_memory(self, rows, files, copies, outscale=None):
        """Refuse what would take too much memory, as far as sizes tell."""
        scale = outscale or max((row["scale"] or SCALE for row in rows), default=1)
        pixels = max(np.prod(read_size(path) or (1, 1)) for path in files)
        is_whole = any(row.get("tiling") == "global_statistics" for row in rows)
        need = (WHOLE_NET_BYTES if is_whole else NET_BYTES) + pixels * 6 * (1 + copies * scale**2)
        if need > self.memory:
            raise TooMuchError(
                f"the result of {scale:g} times the size would take about {need / 1e9:.1f} GB of "
                f"memory, and {self.memory / 1e9:.1f} GB may be taken; send a smaller picture, or "
                "have it enlarged less"
            )

    def _row(self, model):
        if model in KERNELS:
            return {"name": model, "scale": None}
        try:
            return self._models[model]
        except KeyError:
            raise ValueError(f"model is {model!r:.100}; choose one of /api/models") from None

    def _parsed(self, kind, options) -> dict[str, Any]:
        """Have the command's own parser read options."""
        command = {"enhance": enhance, "compare": compare}[kind]
        known = {_field(one.name): one for one in command.params if one.name in TAKEN[kind]}
        arguments, extra = [], {}
        for name, values in options.items():
            if name == ALPHA and kind == "enhance":
                extra[ALPHA] = _alpha(values)
            elif name not in known:
                raise ValueError(f"{name!r:.100} is no option; choose from {', '.join(known)}")
            else:
                arguments += _arguments(known[name], values)
        output = ["-o", "page.html"] if kind == "compare" else []
        with _in_plain_errors():
            context = command.make_context(kind, [*arguments, *output, "--", "picture"])
            parsed = {**context.params, **extra}
            if kind == "enhance":
                check_ext(parsed["ext"])
                parsed["photo_options"] = take_photo_options(parsed)
        return parsed

    def _enhance(self, job, folder, progress):
        parsed = self._parsed("enhance", job.options)
        (file,) = job.files
        source = folder / file.stored
        suffix = f".{parsed['ext'].lstrip('.')}" if parsed["ext"] else result_suffix(source.suffix)
        target = folder / f"result{suffix}"
        one = FileJob(source, target)
        as_raster = goes_as_raster({}, False, one)
        model = parsed["model"] or default_model(as_raster)
        enhancer = self._enhancer({**parsed, "model": model})
        outscale = parsed["outscale"] or enhancer.scale
        name = f"{PurePath(file.name).stem}_x{outscale:g}{suffix}"

        @contextmanager
        def watched(*_, **__):
            yield progress

        shared = {
            "enhancer": enhancer,
            "watched": watched,
            "outscale": outscale,
            "match_colors": parsed["match_colors"],
            "skip_existing": False,
            "photo_options": parsed["photo_options"],
        }

        def photo_work(one, **options):
            software = None if parsed["no_record"] else software_of(enhancer)
            return PhotoWork(one, parsed["strict"], software, **options)

        work = work_on(as_raster, {}, False, photo_work, shared, one)
        work.report.update(input=file.name, output=name)
        report = attempt_all(work)
        if report["status"] != "done":
            raise ImageError(report["error"])
        told = {key: report[key] for key in ("width", "height", "seconds")}
        return {"file": target.name, "name": name, **told, "engine": enhancer.describe()}

    def _compare(self, job, folder, progress):
        parsed = self._parsed("compare", job.options)
        models, names = parsed["models"], {}
        for file in job.files:
            if file.role == "file":
                names[_free(file.name, names)] = read_photo(folder / file.stored)
        counts = iter(range(len(models)))

        def enhance_by(model):
            enhancer = self._enhancer({**parsed, "model": model})
            return _Within(enhancer, progress, next(counts), len(models))

        if models:
            (source,) = names.values()
            names.update(made(source, models, enhance_by))
        reference = next((one for one in job.files if one.role == "reference"), None)
        truth = read_photo(folder / reference.stored) if reference else None
        title = f"reference: {reference.name}" if reference else ""
        metrics = take_metrics(parsed)
        with _in_plain_errors():
            shown, rows, how = scored(names, title, truth, parsed["crop_border"], metrics)
        write_text(folder / "result.html", comparison_page(shown, rows, how))
        return {
            "file": "result.html",
            "name": "comparison.html",
            "scores": finite(rows),
            "protocol": how,
        }

    def _enhancer(self, parsed):
        """Return what enhances by a job's options; the former one leaves the memory before."""
        names = ("self_ensemble", "denoise", "strength", "precision")
        options = {name: parsed[name] for name in names if name in parsed}
        model, alpha = parsed["model"], parsed.get(ALPHA, 1)
        scale = parsed.get("outscale") if model in KERNELS else None
        key = (model, alpha, scale, *options.values())
        if self._loaded[0] != key:
            self._loaded = (None, None)
            gc.collect()
            if alpha != 1:
                model = self._blend(model, alpha)
            self._loaded = (key, load(model, scale=scale, **self.engine, **options))
        return self._loaded[1]

    def _blend(self, model, alpha):
        """Return the name of a net between a faithful one and a sharp one, made if it is not."""
        path = self.folder / f"{model}-{alpha:.2f}.params"
        if not path.is_file():
            write_params(path, zoo.interpolate(BLENDS[model], model, alpha))
        return f"{model}={path}"


class _Within:
    """An enhancer whose progress is a part of that of several."""

    def __init__(self, enhancer, progress, index, count):
        self._enhancer, self.scale = enhancer, enhancer.scale
        self._progress, self._index, self._count = progress, index, count

    def __call__(self, image):
        def progress(done, total):
            self._progress(self._index * total + done, self._count * total)

        return self._enhancer(image, progress)


def _offered() -> Iterator[dict]:
    """Yield what is told of the models whose weights are here, and which run here."""
    for name in zoo.list_models(pretrained=True):
        spec = zoo.get_spec(name)
        if spec.weights_kind == "shipped" or (is_mxnet_installed() and _is_here(spec.weights)):
            yield _described(spec)
    for row in zoo.community_rows():
        if not row.fault:
            yield {**own_row(row), "license": "", "paper": "", "pictures": []}


def _is_here(names):
    with suppress(WeightsError):  # a damaged one is none
        return store.found(names) is not None
    return False


def _described(spec):
    folder = store.model_zoo_folder() / spec.name
    is_shipped = spec.weights_kind == "shipped"
    card = store.read_card(folder) if is_shipped else {}
    pictures = [one for one in ("sample", "curves") if (folder / f"{one}.png").is_file()]
    can_mix = spec.name in BLENDS and is_mxnet_installed() and _is_there(BLENDS[spec.name])
    return {
        **row_of(spec),
        "license": spec.license,
        "paper": spec.paper,
        "tiling": spec.tiling,
        "denoise": spec.name == DENOISING and _is_there(KEEPING_NOISE),
        ALPHA: BLENDS[spec.name] if can_mix else None,
        "pictures": pictures,
        **{part: card[part] for part in PARTS_OF_CARD if part in card},
    }


def _is_there(model):
    spec = zoo.get_spec(model)
    return spec.weights_kind == "shipped" or _is_here(spec.weights)


def _field(name):
    """Return what a form calls an option: a model is one, however often it may be given."""
    return "model" if name == "models" else name


def _arguments(option, values):
    """Return what the command line would have of an option."""
    flag = max(option.opts, key=len)
    if len(values) > 1 and not option.multiple:
        raise ValueError(f"{_field(option.name)} is given {len(values)} times; give it once")
    if not option.is_flag:
        return [f"{flag}={value}" for value in values]
    if values[0] not in ("true", "false"):
        raise ValueError(f"{option.name} is {values[0]!r:.100}; give true or false")
    return [flag] if values[0] == "true" else []


def _alpha(values):
    try:
        (alpha,) = map(float, values)
        step = round(alpha * ALPHA_STEPS)
    except (ValueError, OverflowError):
        step = -1
    if not 0 <= step <= ALPHA_STEPS:
        raise ValueError(f"alpha is {', '.join(values)!r:.100}; give a number from 0 to 1")
    return step / ALPHA_STEPS


def _schema(option) -> dict[str, Any]:
    """Describe an option of a command as JSON's schemas do."""
    kind = option.type
    schema: dict[str, Any] = {"type": "string"}
    if option.is_flag:
        schema = {"type": "boolean"}
    elif isinstance(kind, click.Choice):
        schema = {"type": "string", "enum": list(kind.choices)}
    elif isinstance(kind, (click.IntRange, click.FloatRange)):
        schema = {"type": "integer" if isinstance(kind, click.IntRange) else "number"}
        least = "exclusiveMinimum" if kind.min_open else "minimum"
        bounds = {least: kind.min, "maximum": kind.max}
        schema.update({name: bound for name, bound in bounds.items() if bound is not None})
    if option.multiple:
        schema = {"type": "array", "items": schema}
    return {**schema, "description": option.help or ""}


def _free(name, taken):
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free


@contextmanager
def _in_plain_errors() -> Iterator[None]:
    """Say what a command finds wrong as a `ValueError`, without its usage."""
    try:
        yield
    except click.ClickException as error:
        raise ValueError(error.format_message()) from error


@contextmanager
def _notes(job: Job, folder: Path) -> Iterator[list[str]]:
    """Gather the package's warnings of this thread, with files named as their owner does."""
    notes: list[str] = []
    thread = threading.get_ident()

    class Notes(logging.Handler):
        def emit(self, record):
            if record.thread == thread:
                notes.append(job.told(record.getMessage(), folder))

    handler, logger = Notes(logging.WARNING), logging.getLogger("gluon_enhance")
    logger.addHandler(handler)
    try:
        yield notes
    finally:
        logger.removeHandler(handler)
