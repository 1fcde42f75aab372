"""Enhancing arrays: a model, an engine and tiles put together."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Callable, NamedTuple, Optional

import numpy as np

from gluon_enhance import engines, zoo
from gluon_enhance.errors import EngineError, ImageError
from gluon_enhance.imaging.arrays import from_rgb, to_dtype, to_float, to_rgb
from gluon_enhance.imaging.resize import resize_rounding_once
from gluon_enhance.imaging.tiling import plan_tiles, run_tiled
from gluon_enhance.weights import store
from gluon_enhance.weights.manifest import card_file, read_card, sha256, verify

DEFAULT_MODEL = "rrdb_lite_x4"
AUTO_TILE = 192
"""Input pixels that a tile yields a side: large enough that halos cost little, small enough that
the feature maps of a 64-channel x4 net stay under 1 GB."""


class Enhancer:
    """Enhance images with one model on one engine.

    Parameters
    ----------
    model : str or path
        A name of the zoo, ``NAME=FILE`` for a net of the zoo with weights from a file, or a
        folder with a model's ONNX file and ``card.json``.
    engine : {'auto', 'openvino', 'onnxruntime', 'mxnet'}
        'auto' takes the fastest that is installed.
    precision : {'auto', 'fp32', 'bf16'}
        'auto' takes bf16 where the processor has it and the answer stays within 50 dB of fp32.
    tile : 'auto' or int
        Side of the part of the input that one tile yields, in input pixels.
    halo : 'auto' or int
        Input pixels read around it. 'auto' is the model's measured one, at which tiled and whole
        results differ by at most 1/255.
    device : {'auto', 'cpu', 'cuda'}
    threads : int, optional
        Default: the physical cores.

    Raises
    ------
    UnknownModelError, WeightsError, EngineError
        If the model, its weights or the engine cannot be had; the message says what to do.
    ValueError
        If `tile` or `halo` is not a number that makes sense.

    Examples
    --------
    >>> enhancer = Enhancer("rrdb_lite_x4")                           # doctest: +SKIP
    >>> enhancer(np.zeros((24, 16, 3), np.uint8)).shape               # doctest: +SKIP
    (96, 64, 3)
    """

    def __init__(
        self,
        model=DEFAULT_MODEL,
        engine="auto",
        precision="auto",
        tile="auto",
        halo="auto",
        device="auto",
        threads=None,
    ):
        self.spec, source = _resolve(model)
        self.tile = AUTO_TILE if tile == "auto" else _whole_number(tile, "tile", 1)
        self.halo = self.spec.halo if halo == "auto" else _whole_number(halo, "halo", 0)
        engine = engines.choose(engine, device)
        self._engine = engines.load(
            engine,
            source.net() if engine == "mxnet" else source.onnx(),
            precision=precision,
            device=device,
            threads=threads,
        )

    @property
    def scale(self) -> int:
        """Ratio of the output's size to the input's."""
        return self.spec.scale

    def describe(self) -> dict:
        """Name the model, engine, precision, device, tile and halo in use."""
        return {
            "model": self.spec.name,
            "scale": self.scale,
            **self._engine.describe(),
            "tile": self.tile,
            "halo": self.halo,
        }

    def __call__(
        self, image: np.ndarray, progress: Optional[Callable[[int, int], None]] = None
    ) -> np.ndarray:
        """Enhance one image.

        Parameters
        ----------
        image : ndarray of shape (H, W) or (H, W, 1|2|3|4), uint8, uint16 or float32 in [0, 1]
            Gray, gray and alpha, RGB, or RGB and alpha. Gray stays gray; alpha is enlarged with
            the bicubic kernel.
        progress : callable, optional
            Called with (tiles done, tiles in all).

        Returns
        -------
        ndarray of shape (H * scale, W * scale[, C]), same dtype and channels

        Raises
        ------
        ValueError
            If the image has another shape or dtype, no pixel, or values that are not finite or
            out of range.
        ImageError
            If a tile comes back with values that are not finite, or the model needs the whole
            image in one tile and it does not fit.
        """
        channels = image.shape[2] if image.ndim == 3 else None
        if image.ndim not in (2, 3) or channels not in (None, 1, 2, 3, 4) or image.size == 0:
            raise ValueError(
                f"image has shape {image.shape}; need (H, W) or (H, W, 1 to 4), not empty"
            )
        has_alpha = channels in (2, 4)
        color_channels = channels - 1 if has_alpha else channels
        height, width = image.shape[:2]
        tiles = plan_tiles(height, width, self.tile, self.halo, self.spec.multiple)
        if self.spec.tiling == "global_statistics" and len(tiles) > 1:
            raise ImageError(
                f"{self.spec.name} takes its statistics from the whole image, and {width} x "
                f"{height} pixels are more than one tile; give --tile {max(height, width)}, or a "
                "smaller image"
            )
        output = np.empty((height * self.scale, width * self.scale, *image.shape[2:]), image.dtype)
        color = output[..., :-1] if has_alpha else output

        def read(rows, columns):
            return to_float(to_rgb(image[rows, columns])[0]).transpose(2, 0, 1)

        results = run_tiled(tiles, read, self._engine.run, self.scale)
        for done, (tile, sr) in enumerate(results, 1):
            sr = from_rgb(sr.transpose(1, 2, 0), channels=color_channels)
            color[tile.target(self.scale)] = to_dtype(sr, image.dtype)
            if progress:
                progress(done, len(tiles))
        if has_alpha:
            output[..., -1] = resize_rounding_once(image[..., -1], self.scale)
        return output


def enhance(image: np.ndarray, model=DEFAULT_MODEL, **options) -> np.ndarray:
    """Enhance one image; `options` are those of `Enhancer`, which serves many images faster.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 1|2|3|4), uint8, uint16 or float32 in [0, 1]
    model : str or path

    Returns
    -------
    ndarray of shape (H * scale, W * scale[, C]), same dtype and channels
    """
    return Enhancer(model, **options)(image)


def _whole_number(value, name, minimum):
    try:
        number = int(value)
    except ValueError:
        number = minimum - 1
    if number < minimum:
        raise ValueError(f"{name} is {value!r}; give 'auto' or a number from {minimum}")
    return number


class _Source(NamedTuple):
    """How a model is had: as a HybridBlock, and as an ONNX file."""

    net: Callable
    onnx: Callable


def _resolve(model) -> tuple[zoo.ModelSpec, _Source]:
    text = str(model)
    if Path(text).is_dir():
        return _from_folder(Path(text))
    name, _, file = text.partition("=")
    spec = zoo.get_spec(name)
    if not file and spec.weights_kind == "shipped":
        return spec, _Source(
            partial(zoo.get_model, name, pretrained=True),
            partial(store.find_shipped, name, ".onnx"),
        )
    weights = Path(file) if file else None
    net = partial(zoo.get_model, name, pretrained=file or True)
    return spec, _Source(net, partial(_converted, spec, net, weights))


def _from_folder(folder):
    card = read_card(folder)
    spec = zoo.spec_from_card(card)

    def onnx():
        file = card_file(card, f"{spec.name}.onnx")
        verify(folder / file.name, file)
        return folder / file.name

    def net():
        raise EngineError(f"{folder} has an ONNX file only; use --engine openvino or onnxruntime")

    return spec, _Source(net, onnx)


def _converted(spec, make_net, weights) -> Path:
    """Return the ONNX file of a net that ships none, made once and kept in the cache."""
    weights = weights or store.find(spec.weights)
    digest = sha256(weights)[:16]
    path = store.cache_folder() / f"{spec.name}-{digest}.onnx"
    if not path.is_file():
        from gluon_enhance.export import export_onnx

        export_onnx(make_net(), path, spec.multiple)
    return path
