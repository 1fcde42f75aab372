"""The Python file of a net in PyTorch, copied beside its weights and run against the net."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import runpy
from pathlib import Path

from gluon_enhance.exporting import compare

logger = logging.getLogger(__name__)

FILES = {
    "DPEDDenseNet": "dped",
    "DPEDResNet": "dped",
    "EDSR": "edsr",
    "JohnsonSR": "plsr",
    "MSRResNet": "srresnet",
    "PLSR": "plsr",
    "SRCNN": "srcnn",
    "SRResNet": "srresnet",
    "SRVGGNetBilinear": "srvgg",
    "StyleNet": "style",
}
"""Class of a net -> the file in ``pytorch/`` that has the class of the same name."""


def built_in_pytorch(net) -> dict:
    """Say what builds a net's twin in PyTorch.

    Parameters
    ----------
    net : HybridBlock
        Of `gluon_enhance.get_model`.

    Returns
    -------
    dict
        Its ``class``, which may be that of a base of the net's, and all of its ``arguments``; empty
        if `gluon_enhance.exporting.pytorch` has none.
    """
    twin = next((cls for cls in type(net).__mro__ if cls.__name__ in FILES), None)
    if twin is None:
        return {}
    defaults = {
        name: parameter.default
        for cls in (twin, type(net))
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is not parameter.empty
    }
    return {"class": twin.__name__, "arguments": {**defaults, **net.spec.kwargs}}


def write_architecture(net, folder: Path, answers: list) -> None:
    """Write ``NAME.py`` beside the weights that it loads, and run it where PyTorch is installed.

    Parameters
    ----------
    net : HybridBlock
        One that is `built_in_pytorch`.
    folder : path
        ``NAME.safetensors`` is there.
    answers : list
        As of `gluon_enhance.exporting.answers_of`.

    Raises
    ------
    EngineError
        If its numbers are not the net's.
    """
    source = f"{FILES[built_in_pytorch(net)['class']]}.py"
    path = folder / f"{net.spec.name}.py"
    path.write_bytes((Path(__file__).with_name("pytorch") / source).read_bytes())
    if importlib.util.find_spec("torch") is None:
        logger.warning("%s was not run against the net: PyTorch is not installed here", path.name)
        return
    import torch

    twin = runpy.run_path(str(path))["load"]()
    with torch.inference_mode():
        compare(path.name, lambda batch: twin(torch.from_numpy(batch)).numpy(), answers)
