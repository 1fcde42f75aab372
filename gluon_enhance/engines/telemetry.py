"""Engines without what importing them tells their makers: Google Analytics, and Microsoft."""

import os

from gluon_enhance.imports import hidden

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
    former = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "1"
    try:
        import onnxruntime
    finally:
        del os.environ[VARIABLE]
        if former is not None:
            os.environ[VARIABLE] = former
    return onnxruntime
