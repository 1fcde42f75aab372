"""Refuse nets with maps out of proportion, for which a few bytes of a file can ask."""

from __future__ import annotations

import math
import os

from gluon_enhance.engines.telemetry import import_openvino
from gluon_enhance.errors import EngineError

LARGEST_MAP = 256
"""Numbers of a feature map for each one of the net's inputs and outputs; EDSR's take 80 at most."""
SMALL_MAP = 1 << 24
"""Numbers that a feature map may have besides; for weights, as many more as there are."""


def refuse_huge(model, path: str) -> None:
    """Refuse a net before it asks for memory that no image is worth.

    Parameters
    ----------
    model : openvino.Model
        Maps whose shape depends on the image count only once it has been given the image's.
    path : str
        Of its file, for the message.

    Raises
    ------
    EngineError
        If a map has more numbers than the bounds above allow.
    """
    ends = sum(_count(port) for port in [*model.inputs, *model.outputs])
    weights, largest = 0, 0
    for op in model.get_ops():
        numbers = sum(map(_count, op.outputs()))
        if op.get_type_name() == "Constant":
            weights += numbers
        else:
            largest = max(largest, numbers)
    if largest > LARGEST_MAP * ends + weights + SMALL_MAP:
        raise EngineError(
            f"{path} makes {largest:,} numbers at once for {ends:,} of input and output "
            "together; no image needs that: get the model elsewhere"
        )


class MapsInProportion:
    """What `refuse_huge` checks, for an engine that itself makes maps before it tells their size.

    Parameters
    ----------
    path : path
        Of an ONNX file, which OpenVINO reads for the shapes alone.

    Raises
    ------
    EngineError
        If it cannot or is not installed, or a map of a fixed shape is too large.
    """

    def __init__(self, path: str | os.PathLike):
        try:
            openvino = import_openvino()
        except ImportError as error:
            raise EngineError(
                f"{path} cannot be checked before ONNX Runtime loads it: OpenVINO is not "
                "installed; pip install openvino"
            ) from error
        self._path, self._passed = str(path), set()
        try:
            self._model = openvino.Core().read_model(self._path)
        except (RuntimeError, UnicodeDecodeError) as error:  # messages quote names as they are
            reason = str(error).strip().splitlines()[-1][:200]
            raise EngineError(f"{path} is not a model that can be checked: {reason}") from error
        refuse_huge(self._model, self._path)

    def check(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        """Check the maps for inputs of these shapes; those that passed are known.

        Raises
        ------
        EngineError
            If a map is too large, or the net takes no such inputs.
        """
        if shapes in self._passed:
            return
        try:
            self._model.reshape({k: list(shape) for k, shape in enumerate(shapes)})
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1][:200]
            raise EngineError(f"{self._path} does not take {shapes}: {reason}") from error
        refuse_huge(self._model, self._path)
        self._passed.add(shapes)


def _count(port):
    shape = port.partial_shape
    return math.prod(shape.to_shape()) if shape.is_static else 0
