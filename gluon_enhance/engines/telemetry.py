"""Engines without what importing them tells their makers: Google Analytics, and Microsoft."""

from gluon_enhance.framework import environment, hidden

PACKAGE = "openvino_telemetry"
"""OpenVINO, and NNCF on top of it, do without where this is not installed."""

VARIABLE = "ORT_DISABLE_TELEMETRY"
"""What ONNX Runtime looks for when it is loaded."""


def import_openvino():
    """Import OpenVINO; nothing is sent, nor written to the home folder.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    with hidden(PACKAGE):
        import openvino
    return openvino


def import_onnxruntime():
    """Import ONNX Runtime; newer ones would send to Microsoft and keep a device id.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    with environment({VARIABLE: "1"}):
        import onnxruntime
    return onnxruntime
