"""ONNX files whose convolutions have 8 bits."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from gluon_enhance.engines.telemetry import import_onnxruntime
from gluon_enhance.errors import EngineError
from gluon_enhance.exporting import require
from gluon_enhance.exporting.float16 import LARGE
from gluon_enhance.imaging.arrays import to_nchw
from gluon_enhance.imaging.check_pictures import soft_pictures
from gluon_enhance.photos import read_image
from gluon_enhance.weights.store import model_zoo_folder

MIN_AGREEMENT = 25
"""dB of PSNR that a file must keep to fp32 on each of the check pictures."""

PACKAGES = "onnxruntime ml_dtypes"

CROP = 96
"""Side of the pieces of the built-in photo that ranges are taken from."""


def quantize_onnx(onnx_file: Path, path: Path) -> None:
    """Quantize a net after its training, as QDQ nodes around its convolutions.

    The first and the last two keep their precision, whose errors nothing averages out, and small
    ones. Weights get a scale for each channel, and maps one for the range that they have over
    pieces of the built-in photo and pictures like those that files are checked with, in full
    contrast: of softer ones (0.7) 8 bits of ``rrdb_lite_x4`` would keep 23 dB on lines, not 40.

    Parameters
    ----------
    onnx_file : Path
        As `gluon_enhance.exporting.export_onnx` writes it.
    path : Path
        File to write.

    Raises
    ------
    EngineError
        If ONNX Runtime is not installed, or no convolution is to have 8 bits.
    """
    import onnx

    require("onnxruntime", PACKAGES)
    import_onnxruntime()
    tool = require("onnxruntime.quantization", PACKAGES)
    with tempfile.TemporaryDirectory() as folder:
        # Norms become part of convolutions, which then are rounded as they are computed.
        folded = Path(folder, "folded.onnx")
        tool.quant_pre_process(str(onnx_file), str(folded), skip_symbolic_shape=True)
        model = onnx.load(str(folded))
        exact = _exact(model.graph, onnx_file.stem)
        tool.quantize_static(
            model,
            path,
            _Pictures(),
            quant_format=tool.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=tool.QuantType.QUInt8,
            weight_type=tool.QuantType.QInt8,
            nodes_to_exclude=exact,
        )
    _tidy(path, onnx.load(str(onnx_file)).metadata_props)


def _exact(graph, name):
    """List the convolutions that keep their precision: small ones, the first and the last two."""
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in graph.initializer}
    convs = [node for node in graph.node if node.op_type == "Conv"]
    small = [node.name for node in convs if sizes.get(node.input[1], 0) < LARGE]
    exact = {node.name for node in (*convs[:1], *convs[-2:])}.union(small)
    if len(exact) == len(convs):
        raise EngineError(
            f"{name} has no convolution that 8 bits are for: each has under {LARGE} weights, or "
            "is the first or one of the last two; leave int8 out"
        )
    return sorted(exact)


def _tidy(path, metadata):
    """Have the file say what the exact one says, and ask for no operators that it lacks."""
    import onnx

    model = onnx.load(str(path))
    own = [one for one in model.opset_import if not one.domain]
    for field, kept in ((model.opset_import, own), (model.metadata_props, metadata)):
        del field[:]
        field.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


class _Pictures:
    """What ONNX Runtime's tool takes the ranges of maps from, one picture after the other."""

    def __init__(self):
        photo = read_image(model_zoo_folder() / "sample.png").pixels
        height, width = photo.shape[:2]
        crops = [
            to_nchw(photo[top : top + CROP, left : left + CROP])
            for top in range(0, height - CROP + 1, CROP)
            for left in range(0, width - CROP + 1, CROP)
        ]
        self._left = iter([*crops, *soft_pictures(contrast=1)])

    def get_next(self):
        """Return the next one by the name of the input; None if there is none."""
        picture = next(self._left, None)
        return None if picture is None else {"image": picture}
