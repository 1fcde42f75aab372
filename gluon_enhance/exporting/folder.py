"""Write a model as a folder that runs without MXNet, every file of it proven equal to the net."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from gluon_enhance import __version__, engines, zoo
from gluon_enhance.atomic import sync
from gluon_enhance.errors import EngineError, WeightsError
from gluon_enhance.exporting import OPSET, answers_of, run_net, trial_unit
from gluon_enhance.exporting.artifacts import WRITERS, Job
from gluon_enhance.exporting.block import refuse_without_weights, with_spec
from gluon_enhance.exporting.measure import HALOS, measured_halo
from gluon_enhance.exporting.symbol import is_pair, measured_pair, split_pair
from gluon_enhance.framework import is_mxnet_installed
from gluon_enhance.weights.cache import workshop
from gluon_enhance.weights.manifest import (
    card_file,
    difference,
    fingerprint,
    read_card,
    sha256,
    write_card,
)
from gluon_enhance.weights.store import EIGHT_BITS, cache_folder, find_shipped, model_zoo_folder

if TYPE_CHECKING:
    from gluon_enhance.framework import mx

MEASURED = ("scores", "protocol", "training", "int8")
"""What the card of a shipped model says of its weights."""


def export(
    model: str | os.PathLike | mx.gluon.HybridBlock,
    folder: str | os.PathLike,
    formats: Sequence[str] = ("symbol", "onnx", "safetensors"),
    trust: bool = False,
    spec: Optional[Mapping[str, Any]] = None,
) -> Path:
    """Write a model as a folder that `Enhancer` runs on any Python, without MXNet.

    Every file is loaded again and run at two sizes before the folder appears.

    Parameters
    ----------
    model : str, path or HybridBlock
        A name of the zoo; ``NAME=FILE`` for a net of the zoo with weights from a file, built with
        the options in the ``card.json`` that its training left beside it; a file of weights, which
        tell the net; a model of the community folder; ``X-symbol.json``, with
        ``X-0000.params`` beside it, for another's net; or a net from `get_model`, or any other
        HybridBlock from RGB in [0, 1] to RGB in [0, 1], such as two nets in a HybridSequential.
    folder : path
        It appears when it is whole. One that is there must be empty or an earlier export, which
        the new one replaces.
    formats : sequence of str
        - 'symbol': ``NAME-symbol.json`` and ``NAME-0000.params``, which plain MXNet loads;
        - 'onnx': ``NAME.onnx``, and ``NAME.segments.zip`` for a net that needs the statistics of
          the whole image, which the engines run, and with them the shipped files of 8 bits of a
          model that has such;
        - 'safetensors': ``NAME.safetensors`` if a PyTorch program has this net, as that names its
          weights, among zeros where that has more channels;
        - 'ir': ``NAME.xml`` and ``NAME.bin`` in float32, for OpenVINO;
        - 'fp16': ``NAME.fp16.onnx``, which computes in float16, and takes and gives float32;
        - 'int8': ``NAME.int8.onnx``, most convolutions of which have 8 bits, as QDQ nodes;
        - 'ncnn': ``NAME.param`` and ``NAME.bin``, for ncnn, with large weights in float16;
        - 'torch': ``NAME.safetensors`` of any net of the zoo, with ``NAME.py``, which loads it with
          torch and safetensors alone, unless spandrel loads it; run where torch is installed.

        ``LICENSE`` comes along with a name whose shipped weights began as another's.
        The card says what 'fp16' and 'int8' keep to the net on each check picture, in dB of PSNR.
    trust : bool
        Run the graph of a symbol file unchecked, of any operators, as `Enhancer` does. What runs
        the folder must be told so, too.
    spec : mapping, optional
        What the card is to say of a HybridBlock, by the names of `ModelSpec`: ``name`` (else the
        folder's), ``method``, ``purpose``, ``paper``, ``license``, and how it is run: ``scale``,
        ``multiple``, ``stride``, ``min_size``, ``halo``. What is left out of these five, in a net
        that has no spec, is found out by trial. The net keeps it as its ``spec`` attribute.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        If the folder holds what no export wrote.
    UnknownModelError, WeightsError
        If the model or its weights cannot be had.
    EngineError
        If the net cannot be written, or a file's numbers differ from the net's by more than 1e-4
        for outputs about 1 (1/255 with weights in float16; in 8 bits, if it keeps less than 25 dB
        on a check picture), or a package that a format needs is missing; what was in the folder
        stays.
    ValueError
        If a format is unknown, two have a file of one name ('ir' and 'ncnn'), the net is no
        HybridBlock of one input and one output or makes no images, or `spec` has what it cannot
        have.

    Examples
    --------
    >>> export("srcnn_x4", "exported", formats=["onnx"])                  # doctest: +SKIP
    PosixPath('exported')
    >>> net = mx.gluon.nn.HybridSequential()                              # doctest: +SKIP
    >>> net.add(get_model("dped_resnet", True), get_model("rrdb_lite_x4", True))  # doctest: +SKIP
    >>> export(net, "phone_x4", spec={"license": "Apache-2.0"})           # doctest: +SKIP
    PosixPath('phone_x4')
    """
    if not formats or set(formats) - set(WRITERS):
        raise ValueError(f"formats are {formats!r}; choose from {', '.join(WRITERS)}")
    if {"ir", "ncnn"} <= set(formats):
        raise ValueError("formats ir and ncnn both have a NAME.bin; export them into two folders")
    folder = Path(folder).expanduser().resolve()
    refuse_what_no_export_wrote(folder)
    if isinstance(model, (str, os.PathLike)):
        if spec is not None:
            raise ValueError(f"spec is given for {model}; it is for nets that are HybridBlocks")
        net, record, beside = _net_and_record(model, trust)
    else:
        net, record, beside = with_spec(model, folder, spec or {}), {}, None
    if "onnx" not in formats:
        record.pop("int8", None)
    with replacing(folder) as draft:
        copy_license(beside, draft)
        _write_files(net, draft, formats, record)
    return folder


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Give an empty folder, which takes the place and the name of this one when it is done.

    Raises
    ------
    FileExistsError
        If the folder holds what no export wrote.
    EngineError
        If it cannot be written; what was in the folder stays.
    """
    refuse_what_no_export_wrote(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        draft = Path(temporary, "draft")
        draft.mkdir()
        try:
            yield draft
        except OSError as error:
            raise EngineError(
                f"{folder} cannot be written ({error.strerror or error}); check its rights and "
                "free space"
            ) from error
        _put_in_place(draft, folder)


def _write_files(net, draft, formats, record):
    unit = trial_unit(net.spec)
    job, kept = Job(net, draft, unit, _answers(net, unit)), {}
    if not net.spec.net:  # the names of its weights are its own
        formats = [name for name in formats if name != "safetensors"]
    for name in formats:
        kept.update(WRITERS[name](job) or {})
    for suffix in EIGHT_BITS if "int8" in record else ():
        shutil.copy(find_shipped(net.spec.name, suffix), draft)
    files = {path.name: fingerprint(path) for path in sorted(draft.iterdir())}
    spec, by = _with_measured_halo(net, draft)
    record = {**record, **by, **({"agreement_db": kept} if kept else {})}
    card = {**asdict(spec), "files": files, "range": [0, 1], "opset": OPSET}
    write_card(draft, {**card, "version": __version__, "scores": {}, **record})
    for path in draft.iterdir():
        sync(path)


def exported_pair(model: str | os.PathLike, trust: bool = False) -> Path:
    """Export another's net into the cache, once, and return the folder.

    Parameters
    ----------
    model : str or path
        ``X-symbol.json`` or ``X-symbol.json=LOW,HIGH``; as for `export`, whose errors it raises.
    trust : bool
        As of `export`.
    """
    symbol, params, values = split_pair(model)
    digest = "-".join([sha256(symbol)[:8], sha256(params)[:8], *(f"{v:g}" for v in values)])
    folder = cache_folder() / "symbols" / f"{symbol.name}-{digest}"

    def make(made):
        require_mxnet(symbol)
        export(model, made, ("symbol", "onnx"), trust)

    return kept_folder(folder, make)


def require_mxnet(file: Path) -> None:
    """Refuse to convert a file where MXNet is not installed.

    Raises
    ------
    EngineError
        The message says what to do instead.
    """
    if not is_mxnet_installed():
        raise EngineError(
            f"{file} is converted by MXNet, which is not installed here: run "
            f"`gluon-enhance export {file} DIR` where it is, and use DIR"
        )


def kept_folder(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, made by `make` unless it is there as it was made."""
    if not _is_whole(folder):
        with workshop(folder) as work:
            if not _is_whole(folder):  # another process may have been at it
                made = work / folder.name
                make(made)
                if folder.exists():  # and damaged; nobody else writes there
                    folder.rename(work / "damaged")
                made.rename(folder)
    return folder


def _is_whole(folder):
    """Tell whether an export is there, with all its files as they were written."""
    try:
        card = read_card(folder)
        return not any(difference(folder / name, card_file(card, name)) for name in card["files"])
    except (WeightsError, OSError, KeyError):
        return False


def refuse_what_no_export_wrote(folder: Path, place: Optional[Path] = None) -> None:
    """Look at what is in a folder, which lies at another place while it is being replaced.

    Raises
    ------
    FileExistsError
        If it holds what no export wrote, or is a file.
    """
    place = place or folder
    if not place.exists():
        return
    if not place.is_dir():
        raise FileExistsError(f"{folder} is a file; give a new or empty folder")
    files = read_card(place).get("files") if (place / "card.json").exists() else None
    # Python keeps compiled files beside a NAME.py that was imported.
    listed = {"card.json", "__pycache__", *files} if isinstance(files, dict) else ()
    others = sorted(path.name for path in place.iterdir() if path.name not in listed)
    if others:
        raise FileExistsError(
            f"{folder} holds {others[0]}, which no export wrote; give a new or empty folder"
        )


def _net_and_record(model, trust):
    """Return the net with its spec, what else the card says, and the folder of shipped weights."""
    if is_pair(model):
        return measured_pair(*split_pair(model), trust=trust), {}, None
    name, file = zoo.model_of(str(model))
    if file and file.suffix.lower() == ".onnx":
        raise EngineError(f"{file} is an ONNX file, which runs as it is: use it as the model")
    # The same names of arrays in every file, whichever nets this process made before.
    prefix = f"{zoo.get_spec(name).name if name else zoo.model_name(file)}_"
    net = zoo.get_model(name, pretrained=file or True, prefix=prefix)
    if file or net.spec.weights_kind != "shipped":
        return net, {}, None
    shipped = model_zoo_folder() / net.spec.name
    card = read_card(shipped)
    return net, {key: card[key] for key in MEASURED if key in card}, shipped


def copy_license(source: Optional[Path], folder: Path) -> None:
    """Copy the license that lies beside weights which began as another's, if there is one."""
    if source is not None and (source / "LICENSE").is_file():
        shutil.copy(source / "LICENSE", folder)


def _with_measured_halo(net, draft):
    """Return the spec with a halo of at most the radius, and what the card says of it."""
    spec = net.spec
    row = zoo.MODELS.get(spec.name)
    is_known = not spec.net or (row is not None and row.kwargs == spec.kwargs)
    if is_known or spec.tiling != "exact" or spec.halo <= HALOS[0]:
        return spec, {}
    onnx, run = draft / f"{spec.name}.onnx", partial(run_net, net)
    if onnx.is_file():
        run = engines.load(engines.choose(), onnx, precision="fp32", trusted=True).run
    halo = measured_halo(run, spec.scale, spec.unit, spec.halo)
    if halo is None:
        return spec, {"halo_by": "its radius"}
    text = f"measured on the built-in photo; the radius is {spec.halo}"
    return replace(spec, halo=halo), {"halo_by": text}


def _answers(net, unit):
    spec = net.spec
    refuse_without_weights(net, spec.name)
    answers = answers_of(net, unit)
    for batch, sr in answers:
        if sr.shape[2:] != (batch.shape[2] * spec.scale, batch.shape[3] * spec.scale):
            raise EngineError(
                f"{spec.name} makes {sr.shape} of {batch.shape}, but its spec has scale "
                f"{spec.scale}; take the model of that scale"
            )
    return answers


def _put_in_place(draft, folder):
    """Rename a folder; an export that has the name goes, or is back there if anything fails.

    What was saved into it meanwhile is looked for when nothing more can be: after it has moved.
    """
    for attempt in count():
        old = draft.with_name(f"old{attempt}")
        try:
            with suppress(FileNotFoundError):  # there is none, or another process has moved it
                folder.rename(old)
                refuse_what_no_export_wrote(folder, old)
            draft.rename(folder)
            return
        except BaseException as error:  # such as Ctrl-C between the two
            with suppress(OSError):  # none was moved, or an export is in its place
                old.rename(folder)
            if getattr(error, "errno", None) not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
