"""Our models in GluonCV's zoo, for programs that take theirs from there.

``import gluon_enhance.gluoncv`` enters them under their names, beside GluonCV's own:

>>> import gluon_enhance.gluoncv                                           # doctest: +SKIP
>>> from gluoncv import model_zoo, utils                                   # doctest: +SKIP
>>> net = model_zoo.get_model("esrgan_lite_x4", pretrained=True)           # doctest: +SKIP
>>> to_image = gluon_enhance.gluoncv.ToUnitRange()                         # doctest: +SKIP
>>> utils.export_block("esrgan_lite_x4", net, preprocess=to_image)         # doctest: +SKIP

``get_model`` takes there what `gluon_enhance.get_model` does. Our nets take values within [0, 1],
and not those that GluonCV's own preprocessing makes: give `export_block` a `ToUnitRange` for
images of bytes, or ``preprocess=None, layout="CHW"``.
"""

from __future__ import annotations

from functools import partial

from PIL import ImageFile

from gluon_enhance import zoo
from gluon_enhance.errors import EngineError
from gluon_enhance.framework import hidden, mx


class ToUnitRange(mx.gluon.HybridBlock):
    """Make of photos what our nets take.

    Inputs:
        - **data**: (N, H, W, 3) RGB from 0 to 255.

    Outputs:
        - **out**: (N, 3, H, W) RGB in [0, 1].
    """

    def hybrid_forward(self, F, x):
        """Move the channels to the front, and bring white to 1."""
        return F.transpose(x, axes=(0, 3, 1, 2)) / 255


def register() -> None:
    """Enter all models of `gluon_enhance.list_models` into GluonCV's zoo; once is enough.

    Raises
    ------
    EngineError
        If GluonCV is not installed, or one of its models has a name of ours.
    """
    models = _import_model_zoo().model_zoo._models  # GluonCV has no function for it
    for name in zoo.list_models():
        entered = models.setdefault(name, partial(zoo.get_model, name))
        if getattr(entered, "func", None) is not zoo.get_model:
            raise EngineError(f"GluonCV has a model {name} of its own; update gluon-enhance")


def _import_model_zoo():
    """Import GluonCV; a PyTorch newer than 1.x beside it would make it raise.

    It also has Pillow read files that are cut short, and fill in gray: that is undone.
    """
    truncated = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        with hidden("torch"):
            from gluoncv import model_zoo
    except ImportError as error:
        raise EngineError(
            f"GluonCV cannot be imported ({error}); pip install 'gluon-enhance[gluoncv]'"
        ) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = truncated
    return model_zoo


register()
