"""Enhancing arrays: a model, an engine and tiles put together."""

from __future__ import annotations

import logging
import os
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar, Union, overload

import numpy as np
from numpy.typing import DTypeLike
from PIL import Image

from gluon_enhance import engines
from gluon_enhance.errors import EngineError, ImageError
from gluon_enhance.imaging.arrays import dtype_range, from_rgb, to_dtype, to_float, to_rgb
from gluon_enhance.imaging.nearest_fill import fill_hidden
from gluon_enhance.imaging.resize import resize_rounding_once
from gluon_enhance.imaging.self_ensemble import self_ensemble as ensemble
from gluon_enhance.imaging.tiling import plan_tiles, run_tiled
from gluon_enhance.inference.resolve import resolve
from gluon_enhance.photos import Photo, check_writable, read_image, result_suffix, write_image
from gluon_enhance.photos.pillow import transformed
from gluon_enhance.photos.tiff_tags import has_place
from gluon_enhance.weights import store
from gluon_enhance.whole_image.runner import MEMORY, StripNet

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "realesrgan_lite_x4"
"""Of the functions, the commands and the demo, for photos."""
RASTER_MODEL = "rrdb_lite_x4"
"""The model that rasters are enhanced with by default: the one that stays nearest to the pixels."""
Picture = Union[np.ndarray, Photo, Image.Image, str, os.PathLike]
Pixels = TypeVar("Pixels", np.ndarray, Photo, Image.Image)
Progress = Callable[[int, int], None]
AUTO_TILE = 192
"""Input pixels that a tile yields a side: large enough that halos cost little, small enough that
the feature maps of a 64-channel x4 net stay under 1 GB."""
AUTO_WHOLE = 1792
"""As above, of nets that need the whole image's statistics: strips take 1.7 times as long."""
GPU_TILE, GPU_WHOLE = 384, 4096
"""The same on a GPU, which small tiles leave idle. Strips are the processor's even then: to carry
what they keep to a GPU and back takes longer."""
STRIPS = 24
"""Strips that an image of tile x tile pixels would make; larger ones leave the caches."""


class Enhancer:
    """Enhance images with one model on one engine.

    Parameters
    ----------
    model : str or path
        A name of the zoo; ``NAME=FILE`` for a net of the zoo with weights from a file, built with
        the options in the ``card.json`` that its training left beside it; a file of weights, which
        tell the net (``.pth``, ``.safetensors``, ``.params`` and others, as for `get_model`); an
        ``.onnx`` file; a model of the folder in ``GLUON_ENHANCE_MODELS``; a folder that `export`
        wrote; or ``X-symbol.json``, with ``X-0000.params`` beside it, for any RGB net from image
        to image that MXNet saved, ``X-symbol.json=0,255`` if these are its values.
    engine : {'auto', 'openvino', 'onnxruntime', 'mxnet'}
        'auto' takes the fastest that is installed.
    precision : {'auto', 'fp32', 'tf32', 'bf16', 'int8'}
        'auto' takes bf16 where the processor has it and the answer stays within 50 dB of fp32 on a
        photo, text, lines, dots, a smooth sky and flat grays (else `describe` says why not), and
        tf32 on GPUs. 'int8' is for models that ship 8-bit files, on engine openvino; 'auto' takes
        it of a folder that ``gluon-enhance quantize`` wrote.
    deep_precision : {'auto', 'fp32', 'tf32', 'bf16', 'int8'}
        The same of pictures of more than 8 bits. 'auto' takes fp32 where `precision` was left to
        choose and took bf16, which holds 8 bits, or int8, and else what `precision` is.
    tile : 'auto' or int
        Side of the part of the input that one tile yields, in input pixels. Nets that need the
        statistics of the whole image run on up to tile x tile pixels at once, and on more in
        strips, with features beyond 1.25 GB in temporary files.
    halo : 'auto' or int
        Input pixels read around it. 'auto' is the model's measured one, at which tiled and whole
        results differ by at most 1/255; by 2.6/255 at RRDBs of 23 blocks.
    device : {'auto', 'cpu', 'cuda', 'cuda:N'}
    threads : int, optional
        Default: the physical cores.
    self_ensemble : bool
        Give the mean of what the model makes of the image in eight turns and flips: a little
        more accurate, and eight times slower.
    denoise : float, optional
        Of ``realesr_general_x4`` and ``realesr_general_wdn_x4``: take the net that is so far on
        the way from the latter, which keeps noise (0), to the former, which removes it (1).
    strength : float
        Of models of scale 1: how far the result is on the way from the image, which 0 leaves as it
        is, to what the model makes of it, with 1.
    trust : bool
        Run the graphs of a folder or a symbol file unchecked, of any operators. They are programs:
        only for those of people you trust.

    Raises
    ------
    UnknownModelError, WeightsError, EngineError
        If the model, its weights or the engine cannot be had; the message says what to do.
    ValueError
        If `tile` or `halo` is not a number that makes sense, or `strength` is none from 0 to 1 or
        is given for a model that enlarges.

    Examples
    --------
    >>> enhancer = Enhancer("rrdb_lite_x4")
    >>> enhancer(np.zeros((16, 20, 3), np.uint8)).shape
    (64, 80, 3)
    """

    def __init__(
        self,
        model: str | os.PathLike = DEFAULT_MODEL,
        engine: str = "auto",
        precision: str = "auto",
        tile: str | int = "auto",
        halo: str | int = "auto",
        device: str = "auto",
        threads: Optional[int] = None,
        self_ensemble: bool = False,
        deep_precision: str = "auto",
        denoise: Optional[float] = None,
        trust: bool = False,
        strength: float = 1.0,
    ) -> None:
        self._options = {name: value for name, value in locals().items() if name != "self"}
        self.spec, self._source = resolve(model, denoise, trust)
        _check_strength(strength, self.spec)
        self._needs_whole = self.spec.tiling == "global_statistics"
        side = None if tile == "auto" else _whole_number(tile, "tile", 1)
        self.halo = self.spec.halo if halo == "auto" else _whole_number(halo, "halo", 0)
        engine = engines.choose(engine, device)
        is_auto = precision == "auto"
        if is_auto and engine == "openvino" and self._source.is_for_eight_bits:
            precision = "int8"
        load = partial(
            engines.load,
            threads=threads,
            cache=store.cache_folder() / "compiled",
        )
        runnable = self._runnable(engine, precision)
        trusted = self._source.trusted
        # Files of 8 bits are found only if this package made them, or their maker is trusted.
        own = trusted or precision == "int8"
        self._engine = load(engine, runnable, precision=precision, device=device, trusted=own)
        used = self._engine.describe()
        if deep_precision == "auto":
            chosen = is_auto and used["precision"] in ("bf16", "int8")
            deep_precision = "fp32" if chosen else used["precision"]
        self._deep_precision = deep_precision
        self._deep: Optional[Enhancer] = None
        self._on_gpu = used["device"] != "cpu"
        if self._on_gpu:
            engine, device, used["precision"] = engines.choose("auto", "cpu"), "cpu", "fp32"
        self._load_segment = partial(
            load, engine, precision=used["precision"], device=device, trusted=trusted
        )
        small, whole = (GPU_TILE, GPU_WHOLE) if self._on_gpu else (AUTO_TILE, AUTO_WHOLE)
        self.tile = side or (whole if self._needs_whole else small)
        self._self_ensemble, self._denoise, self._strength = self_ensemble, denoise, strength

    def __getstate__(self) -> dict[str, Any]:
        return self._options  # engines stay where they are; another process loads its own

    def __setstate__(self, options: dict[str, Any]) -> None:
        Enhancer.__init__(self, **options)

    @property
    def scale(self) -> int:
        """Ratio of the output's size to the input's."""
        return self.spec.scale

    def describe(self) -> dict[str, Any]:
        """Name the model, engine, precision, device, tile and halo in use."""
        return {
            "model": self.spec.name,
            **({} if self._denoise is None else {"denoise": self._denoise}),
            **({} if self._strength == 1 else {"strength": self._strength}),
            "scale": self.scale,
            **self._engine.describe(),
            "deep_precision": self._deep_precision,
            "tile": self.tile,
            "halo": self.halo,
            "self_ensemble": self._self_ensemble,
        }

    def for_dtype(self, dtype: DTypeLike) -> Enhancer:
        """Return what enhances pictures of a dtype: this one, or one of `deep_precision`."""
        precision = self._deep_precision
        if np.dtype(dtype).itemsize == 1 or precision == self._engine.describe()["precision"]:
            return self
        if self._deep is None:
            options = {"precision": precision, "deep_precision": precision}
            self._deep = Enhancer(**{**self._options, **options})
        return self._deep

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run the net on tiles.

        Parameters
        ----------
        batch : ndarray of shape (N, 3, H, W), float32 in [0, 1]
            H and W are multiples of ``spec.multiple``.

        Returns
        -------
        ndarray of shape (N, 3, H * scale, W * scale), float32
            Values may lie a little outside [0, 1].
        """
        return self._asked_for(self._compute)(batch)

    @overload
    def __call__(self, image: Pixels, progress: Optional[Progress] = None) -> Pixels: ...

    @overload
    def __call__(self, image: str | os.PathLike, progress: Optional[Progress] = None) -> Path: ...

    def __call__(self, image: Picture, progress: Optional[Progress] = None) -> Picture:
        """Enhance one image, and give the same kind of thing.

        Parameters
        ----------
        image : ndarray, PIL.Image.Image, Photo, str or path
            An array has shape (H, W) or (H, W, 1|2|3|4) and dtype uint8, uint16, or float32 in
            [0, 1]: gray, gray and alpha, RGB, or RGB and alpha. Gray stays gray, and so does RGB
            that is neutral all over, in nets that enlarge; alpha is enlarged with the bicubic
            kernel. What lies under alpha 0 has no influence on what is seen: it gets the color of
            the nearest pixel that is. Of a path the file is enhanced, as by `enhance_file`.
        progress : callable, optional
            Called with (tiles or strips done, and in all).

        Returns
        -------
        ndarray, PIL.Image.Image, Photo or Path
            An array has shape (H * scale, W * scale[, C]), and the dtype and channels of the
            input. A picture of Pillow has the input's mode, RGB or RGBA for one with a palette and
            L for 1 bit, its color profile and its EXIF data, whose orientation is applied. The
            path is that of the new file.

        Raises
        ------
        ValueError
            If the image is of another kind, shape or dtype, or has no pixel, or values that are
            not finite or out of range.
        ImageError
            If a tile comes back with values that are not finite, or the model needs the whole
            image in one tile and it does not fit.
        """
        if isinstance(image, (str, os.PathLike)):
            return self.enhance_file(image, progress=progress)
        if isinstance(image, Photo):
            return image.with_pixels(self._of_array(image.pixels, progress))
        if isinstance(image, Image.Image):
            return transformed(image, partial(self._of_array, progress=progress))
        if not isinstance(image, np.ndarray):
            kind = type(image).__name__
            raise ValueError(f"image is a {kind}; give an array, a picture of Pillow or a path")
        return self._of_array(image, progress)

    def _of_array(self, image, progress):
        channels = image.shape[2] if image.ndim == 3 else None
        if image.ndim not in (2, 3) or channels not in (None, 1, 2, 3, 4) or image.size == 0:
            raise ValueError(
                f"image has shape {image.shape}; need (H, W) or (H, W, 1 to 4), not empty"
            )
        dtype_range(image.dtype)  # before another net is loaded for it
        exact = self.for_dtype(image.dtype)
        if exact is not self:
            return exact._of_array(image, progress)
        has_alpha = channels in (2, 4)
        image = fill_hidden(image) if has_alpha else image
        color_channels = channels - 1 if has_alpha else channels
        height, width = image.shape[:2]
        if min(height, width) < self.spec.min_size:
            raise ImageError(
                f"{self.spec.name} needs {self.spec.min_size} pixels a side, not {width} x {height}"
            )
        tiles, run, steps = self._plan(height, width)
        output = np.empty((height * self.scale, width * self.scale, *image.shape[2:]), image.dtype)
        color = output[..., :-1] if has_alpha else output
        if self.scale > 1 and color_channels == 3 and _is_neutral(image):
            color_channels = 1  # for all three: what a net has of a tint is no detail

        def read(rows, columns):
            return to_float(to_rgb(image[rows, columns])[0]).transpose(2, 0, 1)

        run = partial(run, on_step=_counter(progress, steps))
        for tile, sr in run_tiled(tiles, read, run, self.scale):
            sr = from_rgb(sr.transpose(1, 2, 0), channels=color_channels)
            color[tile.target(self.scale)] = to_dtype(sr, image.dtype)
        if has_alpha:
            output[..., -1] = resize_rounding_once(image[..., -1], self.scale)
        return output

    def enhance_file(
        self,
        source: str | os.PathLike,
        target: Optional[str | os.PathLike] = None,
        progress: Optional[Progress] = None,
    ) -> Path:
        """Enhance a photo's file into another one, with its color profile and EXIF data.

        Parameters
        ----------
        source : path
            What `gluon_enhance.read_image` reads, and no GeoTIFF, which would lose its place.
        target : path, optional
            Its suffix is the format; the file that bears the name is replaced. Default:
            ``NAME_x4.jpg`` beside ``NAME.jpg``, by the scale, and ``.png`` for a format that is
            read only.
        progress : callable, optional
            As above.

        Returns
        -------
        Path
            The target.

        Raises
        ------
        ImageError
            If a file cannot be read or written, the source is a GeoTIFF or the target, or the
            target's format cannot hold the result; this is known before the work.
        """
        source = Path(source)
        target = self._target(source) if target is None else Path(target)
        if target.resolve() == source.resolve():
            raise ImageError(f"{target} is both source and target; give another target")
        if has_place(source):
            raise ImageError(
                f"{source} has a place on Earth, which a photo would lose; use enhance_raster or "
                "the command gluon-enhance enhance, which keep it"
            )
        photo = read_image(source)
        height, width, *channels = photo.pixels.shape
        size = (height * self.scale, width * self.scale)
        check_writable(target, (*size, *channels), photo.pixels.dtype)
        write_image(target, photo.with_pixels(self._of_array(photo.pixels, progress)))
        return target

    def _target(self, source):
        return source.with_name(f"{source.stem}_x{self.scale}{result_suffix(source.suffix)}")

    def _compute(self, batch):
        try:
            return self._engine.run(batch)
        except EngineError as error:
            if not (self._on_gpu and self._needs_whole):
                raise
            logger.warning("the GPU failed: %s", error)
            return self.strip_net(*batch.shape[2:]).run(batch)

    def _runnable(self, engine, precision):
        """Return what an engine is made from: a file, or for MXNet the net."""
        if engine not in engines.OF_FILES:
            return self._source.net()
        if precision != "int8":
            return self._source.find(".onnx")
        self._source.find(".int8.bin")  # the engine looks for it beside the other
        return self._source.find(".int8.xml")

    def _plan(self, height, width):
        """Return the tiles, what runs one of them, and of how many steps all of them are."""
        tile, sides = self.tile, (self.spec.multiple, self.spec.stride)
        if not self._needs_whole:
            tiles = plan_tiles(height, width, tile, self.halo, *sides)
            return tiles, self._run_tile, len(tiles)
        whole = plan_tiles(height, width, max(height, width), 0, *sides)
        if height * width <= tile**2:
            return whole, self._run_tile, 1
        net = self.strip_net(height, width)
        height, width = whole[0].shape
        views = [(height, width), (width, height)] * 4 if self._self_ensemble else [(height, width)]
        return whole, partial(self._run_strips, net), sum(net.count(*size) for size in views)

    def mixed(self, run: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
        """Have what runs the net alone mix the result with the image, if `strength` asks for it."""
        if self._strength == 1:
            return run
        return lambda batch: batch + np.float32(self._strength) * (run(batch) - batch)

    def strip_net(self, height: int, width: int, memory: int = MEMORY) -> StripNet:
        """Return what runs an image of more than tile x tile pixels, if its net needs the whole.

        Of its features at most `memory` bytes stay in memory.

        Raises
        ------
        ImageError
            If the engine cannot.
        """
        if self._engine.describe()["engine"] not in engines.OF_FILES:
            raise ImageError(
                f"{self.spec.name} takes its statistics from the whole image, and {width} x "
                f"{height} pixels are more than {self.tile} x {self.tile}; take engine openvino or "
                f"onnxruntime, which run it in strips, or give tile {max(height, width)}"
            )
        if self._on_gpu:
            logger.warning("%s runs on the processor, in strips", self.spec.name)
        path = self._source.find(".segments.zip")
        pixels = min(self.tile, AUTO_WHOLE) ** 2 // STRIPS
        return StripNet(path, self._load_segment, pixels, memory)

    def _run_tile(self, batch, on_step):
        sr = self.run(batch)
        on_step()
        return sr

    def _run_strips(self, net, batch, on_step):
        return self._asked_for(partial(net.run, on_strip=on_step))(batch)

    def _asked_for(self, run):
        """Return what runs the net as the options ask: on eight turns, mixed with the image."""
        return self.mixed(ensemble(run) if self._self_ensemble else run)


@overload
def enhance(image: Pixels, model: str | os.PathLike = DEFAULT_MODEL, **options: Any) -> Pixels: ...


@overload
def enhance(
    image: str | os.PathLike, model: str | os.PathLike = DEFAULT_MODEL, **options: Any
) -> Path: ...


def enhance(image: Picture, model: str | os.PathLike = DEFAULT_MODEL, **options: Any) -> Picture:
    """Enhance one image; `options` are those of `Enhancer`, which serves many images faster.

    Parameters
    ----------
    image : ndarray, PIL.Image.Image, Photo, str or path
        See `Enhancer.__call__`.
    model : str or path

    Returns
    -------
    ndarray, PIL.Image.Image, Photo or Path
        As `image`; of ``photo.jpg`` the path ``photo_x4.jpg``, which has been written.

    Examples
    --------
    >>> enhance("photo.jpg").name
    'photo_x4.jpg'
    """
    return Enhancer(model, **options)(image)


def _is_neutral(image):
    red, green, blue = np.moveaxis(image[..., :3], -1, 0)
    return np.array_equal(red, green) and np.array_equal(green, blue)


def _counter(progress, steps):
    done = count(1)

    def step():
        if progress:
            progress(next(done), steps)

    return step


def _check_strength(strength, spec):
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength}; give a number from 0 to 1")
    if strength != 1 and spec.scale != 1:
        raise ValueError(
            f"strength is {strength}, but {spec.name} enlarges by {spec.scale}; leave it out: it "
            "is for models of scale 1"
        )


def _whole_number(value, name, minimum):
    try:
        number = int(value)
    except ValueError:
        number = minimum - 1
    if number < minimum:
        raise ValueError(f"{name} is {value!r}; give 'auto' or a number from {minimum}")
    return number
