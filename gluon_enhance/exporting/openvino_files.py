"""OpenVINO's files of a net."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

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
        is_whole = _is_whole(path)
    except (RuntimeError, ElementTree.ParseError) as error:  # which say nothing of room
        raise EngineError(f"{path} cannot be written: is the disk full?") from error
    if not is_whole:
        raise EngineError(f"{path.with_suffix('.bin')} cannot be written: is the disk full?")


def _is_whole(path):
    """Tell whether the file has all weights: OpenVINO 2025.2 tells no fault of writing."""
    places = (data.attrib for data in ElementTree.parse(path).iter("data"))
    ends = (int(place["offset"]) + int(place["size"]) for place in places if "offset" in place)
    return path.with_suffix(".bin").stat().st_size >= max(ends, default=0)
