"""OpenVINO without the message to Google Analytics that importing it sends."""

from gluon_enhance.imports import hidden

PACKAGE = "openvino_telemetry"
"""OpenVINO, and NNCF on top of it, do without where this is not installed."""


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
