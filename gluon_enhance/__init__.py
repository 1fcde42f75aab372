"""Image enhancement and super-resolution: a zoo of Gluon networks that also runs without MXNet.

Examples
--------
>>> import gluon_enhance as ge
>>> large = ge.enhance(photo)           # an array, or a picture of Pillow  # doctest: +SKIP
>>> ge.enhance("photo.jpg")             # makes photo_x4.jpg                # doctest: +SKIP
>>> net = ge.get_model("esrgan_lite_x4", pretrained=True)    # doctest: +SKIP
"""

import importlib

__version__ = "0.1.0"

#: Public name -> module it is imported from, on first use: importing the package loads nothing.
_PUBLIC = {
    "Enhancer": "gluon_enhance.inference.enhancer",
    "enhance": "gluon_enhance.inference.enhancer",
    "enhance_raster": "gluon_enhance.rasters.enhance",
    "convert": "gluon_enhance.zoo",
    "export": "gluon_enhance.export.folder",
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
__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _PUBLIC[name]
    if name in _MODULES:
        return importlib.import_module(f"{module}.{name}")
    return getattr(importlib.import_module(module), name)


def __dir__():
    return [*globals(), *__all__]
