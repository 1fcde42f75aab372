"""OpenVINO's files of a net."""

from __future__ import annotations

from pathlib import Path

from gluon_enhance.engines.telemetry import import_openvino
from gluon_enhance.errors import EngineError


def save_graph(model, path: Path) -> None:
    """Write an OpenVINO model as ``NAME.xml`` and ``NAME.bin``, with weights as they are.

    Parameters
    ----------
    model : openvino.Model
    path : Path
        Of the ``.xml``.

    Raises
    ------
    EngineError
        If they cannot be written.
    """
    try:
        # Its default would round weights to float16.
        import_openvino().save_model(model, str(path), compress_to_fp16=False)
    except RuntimeError as error:  # which says nothing of the file, nor of room
        raise EngineError(f"{path} cannot be written: is the disk full?") from error
