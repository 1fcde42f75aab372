"""Where the nets and files of a model come from: the zoo, a file, a folder, the cache."""

from __future__ import annotations

import functools
import hashlib
import shutil
from functools import partial
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from gluon_enhance import __version__, engines, zoo
from gluon_enhance.errors import EngineError, WeightsError
from gluon_enhance.weights import cache, store
from gluon_enhance.weights.load import read_weights
from gluon_enhance.weights.manifest import card_file, difference, read_card, sha256
from gluon_enhance.zoo.cards import card_of


class Source(NamedTuple):
    """How a model is had: as a HybridBlock, and as a file for engines, by its suffix.

    Its files are trusted if this package ships or makes them, or the user says so. Of a folder that
    was made for 8 bits, these are what precision 'auto' is on OpenVINO.
    """

    net: Callable
    find: Callable
    trusted: bool
    is_for_eight_bits: bool = False


PAIR = "-0000.params"
"""What files of weights end in that belong to a ``-symbol.json`` file."""

DENOISING = "realesr_general_x4"
KEEPING_NOISE = "realesr_general_wdn_x4"
"""Real-ESRGAN's general models, of one architecture; nets between them denoise more or less."""


def resolve(
    model, denoise: Optional[float] = None, trust: bool = False
) -> tuple[zoo.ModelSpec, Source]:
    """Return what is known of a model, and where it comes from; see `gluon_enhance.Enhancer`."""
    text = str(model)
    if denoise is not None:
        return _between(text, denoise)
    if text and Path(text).is_dir():  # an empty text would be the current folder
        return _from_folder(Path(text), trust)
    if text.endswith("-symbol.json") or "-symbol.json=" in text:
        from gluon_enhance.exporting.folder import exported_pair

        return _from_folder(exported_pair(text, trust), trust)
    name, weights = zoo.model_of(text)
    if name is None:
        return _from_file(weights, trust)
    spec = zoo.get_spec(name)
    if weights and _differs(spec, weights):
        return _from_file(weights, trust, name)
    # Names of arrays do not depend then on which nets this process made before.
    net = partial(zoo.get_model, name, pretrained=weights or True, prefix=f"{spec.name}_")
    if not weights and spec.weights_kind == "shipped":
        find = partial(store.find_shipped, spec.name)
        return zoo.shipped_spec(name), Source(net, find, trusted=True)
    if weights:
        spec = zoo.trained_spec(spec, weights)

    @functools.cache  # a net in parts has two files
    def made_of():
        return sha256(weights or zoo.find_weights(spec))

    return spec, Source(net, partial(_converted, spec, net, made_of), trusted=True)


def _from_file(file, trust, name=None):
    """Return a net that is what its file says, beside a card, as a pair of files or by itself."""
    from gluon_enhance.exporting.converted import folder_of_onnx, folder_of_weights
    from gluon_enhance.exporting.folder import exported_pair

    symbol = file.with_name(file.name.replace(PAIR, "-symbol.json"))
    if file.name.endswith(PAIR) and symbol.is_file():
        return _from_folder(exported_pair(symbol, trust), trust)
    if file.suffix.lower() == ".onnx":
        card = card_of(file)  # which is of its fp32 file, whatever others lie beside it
        is_its_file = card and file.name == f"{card['name']}.onnx"
        return _from_folder(file.parent if is_its_file else folder_of_onnx(file, trust), trust)
    return _from_folder(folder_of_weights(file, name), trust=True)


def _differs(spec, weights):
    """Tell whether weights are of another size than the table's; damaged ones are refused later."""
    try:
        read = zoo.recognized_spec(read_weights(weights), weights, spec)
    except WeightsError:
        return False
    return read != zoo.trained_spec(spec, weights)


def _between(name, denoise):
    """Return the net that is `denoise` of the way from the one general model to the other."""
    if name.lower() not in (DENOISING, KEEPING_NOISE):
        raise EngineError(f"denoise is for {DENOISING} and {KEEPING_NOISE}, not for {name}")
    if not 0 <= denoise <= 1:
        raise ValueError(f"denoise is {denoise}; give a number from 0 to 1")
    if denoise in (0, 1):
        return resolve(DENOISING if denoise else KEEPING_NOISE)
    spec = zoo.get_spec(DENOISING)

    def net():
        weights = zoo.interpolate(KEEPING_NOISE, DENOISING, denoise)
        return zoo.get_model(DENOISING, pretrained=weights, prefix=f"{DENOISING}_")

    @functools.cache
    def made_of():
        ends = (zoo.get_spec(end).weights for end in (KEEPING_NOISE, DENOISING))
        return " ".join([*(sha256(store.find(files)) for files in ends), str(float(denoise))])

    return spec, Source(net, partial(_converted, spec, net, made_of), trusted=True)


def _from_folder(folder, trust):
    card = read_card(folder)
    spec = zoo.spec_from_card(card)

    def find(suffix):
        if suffix == ".segments.zip" and f"{spec.name}{suffix}" not in card.get("files", ()):
            raise EngineError(
                f"{spec.name} takes a whole image at once and cannot run it in bands; give a tile "
                "as large as the image's longer side, if there is memory for it"
            )
        file = card_file(card, f"{spec.name}{suffix}")
        path = folder / file.name
        if not path.is_file():
            raise WeightsError(
                f"{folder} lacks {file.name}, which its card lists; export the model again"
            )
        fault = difference(path, file)
        if fault:
            raise WeightsError(f"{path} {fault}; export the model again")
        if suffix in store.EIGHT_BITS and not trust:
            _refuse_what_others_made(path, spec.name, suffix)
        return path

    def net():
        from gluon_enhance.exporting.symbol import load_pair

        if f"{spec.name}-symbol.json" not in card.get("files", ()):
            raise EngineError(
                f"{folder} has no symbol file for mxnet; use --engine openvino or onnxruntime"
            )
        return load_pair(find("-symbol.json"), find("-0000.params"), trust=trust)

    return spec, Source(net, find, trust, is_for_eight_bits=card.get("precision") == "int8")


def _refuse_what_others_made(path, name, suffix):
    """Refuse a graph in OpenVINO's own form, which nothing checks, unless this package made it."""
    try:
        shipped = sha256(store.find_shipped(name, suffix))
    except WeightsError:
        shipped = None
    digest = sha256(path)
    if digest != shipped and not store.is_made_here(digest):
        raise WeightsError(
            f"{path} is not the file that this version ships for {name}, and was not quantized "
            "here: export or quantize the model again, or use --precision fp32; "
            f"{engines.WAY_OUT}"
        )


def _converted(spec, make_net, made_of, suffix) -> Path:
    """Return a file of a net that ships none, made once and kept in the cache."""
    # The same weights are another net under other options, such as the range of its tanh, and
    # another version may write other files.
    text = f"{__version__} {made_of()} {sorted(spec.kwargs.items())}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    onnx = store.cache_folder() / f"{spec.name}-{digest}.onnx"
    path = onnx.with_suffix(suffix)
    if suffix not in (".onnx", ".segments.zip"):
        raise EngineError(f"{spec.name} has no 8-bit files; use --precision auto")
    if not cache.is_kept(path):
        with cache.workshop(onnx) as work:  # another process may have been at it
            _convert(make_net, onnx, path, spec, work)
    return path


def _convert(make_net, onnx, path, spec, work):
    if not cache.is_kept(onnx):
        from gluon_enhance.exporting import export_onnx, trial_unit

        export_onnx(make_net(), work / onnx.name, trial_unit(spec))
        cache.keep(work / onnx.name, onnx)
    if not cache.is_kept(path):
        from gluon_enhance.whole_image.split import split_onnx

        cache.keep(split_onnx(shutil.copy(onnx, work), spec.unit), path)
