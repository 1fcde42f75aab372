"""Image enhancement and super-resolution: a zoo of Gluon networks that also runs without MXNet.

Examples
--------
>>> import gluon_enhance as ge
>>> large = ge.enhance(photo)           # an array, or a picture of Pillow  # doctest: +SKIP
>>> ge.enhance("photo.jpg")             # makes photo_x4.jpg                # doctest: +SKIP
>>> net = ge.get_model("esrgan_lite_x4", pretrained=True)    # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # so that editors and mypy know what `__getattr__` gives
    from gluon_enhance import errors, losses
    from gluon_enhance.exporting.folder import export
    from gluon_enhance.imaging import metrics
    from gluon_enhance.imaging.histogram import match_histograms
    from gluon_enhance.imaging.resize import resize
    from gluon_enhance.inference.enhancer import Enhancer, enhance
    from gluon_enhance.photos import Photo, read_image, write_image
    from gluon_enhance.rasters.enhance import enhance_raster
    from gluon_enhance.rasters.match import match_rasters
    from gluon_enhance.rasters.score import score_rasters
    from gluon_enhance.zoo import convert, get_model, interpolate, list_models

__version__ = "0.2.0"

#: Public name -> module it is imported from, on first use: importing the package loads nothing.
_PUBLIC = {
    "Enhancer": "gluon_enhance.inference.enhancer",
    "enhance": "gluon_enhance.inference.enhancer",
    "enhance_raster": "gluon_enhance.rasters.enhance",
    "convert": "gluon_enhance.zoo",
    "export": "gluon_enhance.exporting.folder",
    "get_model": "gluon_enhance.zoo",
    "interpolate": "gluon_enhance.zoo",
    "list_models": "gluon_enhance.zoo",
    "match_histograms": "gluon_enhance.imaging.histogram",
    "Photo": "gluon_enhance.photos",
    "read_image": "gluon_enhance.photos",
    "write_image": "gluon_enhance.photos",
    "match_rasters": "gluon_enhance.rasters.match",
    "resize": "gluon_enhance.imaging.resize",
    "score_rasters": "gluon_enhance.rasters.score",
    "metrics": "gluon_enhance.imaging",
    "errors": "gluon_enhance",
    "losses": "gluon_enhance",
}
_MODULES = ("errors", "losses", "metrics")
__all__ = [
    "Enhancer",
    "Photo",
    "convert",
    "enhance",
    "enhance_raster",
    "errors",
    "export",
    "get_model",
    "interpolate",
    "list_models",
    "losses",
    "match_histograms",
    "match_rasters",
    "metrics",
    "read_image",
    "resize",
    "score_rasters",
    "write_image",
]


if not TYPE_CHECKING:  # to mypy it would mean that every name is here, also misspelled ones

    def __getattr__(name):
        if name not in _PUBLIC:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = _PUBLIC[name]
        if name in _MODULES:
            return importlib.import_module(f"{module}.{name}")
        return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
