"""The zoo: every model as a row of one literal table, and ``get_model`` to build one.

Importing this module does not import MXNet; building a net does.
"""

from __future__ import annotations

import difflib
import fnmatch
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Optional

from gluon_enhance.errors import UnknownModelError, WeightsError
from gluon_enhance.weights import store


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a model without building it.

    Every model takes and gives (N, 3, H, W) float32 RGB in [0, 1].

    Attributes
    ----------
    name, method : str
        Name in the zoo, and the method as its paper names it.
    net : str
        ``module.Class`` under `gluon_enhance.models`.
    kwargs : mapping
        What its class is built with.
    scale : int
        Ratio of output to input size.
    parameters : int
        Trained numbers in the net.
    halo : int
        Input pixels a tile reads around the part it keeps, at which tiled and whole results
        differ by at most 1/255.
    paper : str
        Its address.
    licence : str
        Of the weights.
    weights : tuple of str
        Official files in the manifest, any of which will do; the first is the one downloaded.
        Empty for models trained by this project.
    multiple : int
        The input's height and width must be multiples of it.
    tiling : {'exact', 'global_statistics'}
        Whether tiles can be computed one by one, or must share the image's statistics.
    """

    name: str
    method: str
    net: str
    kwargs: Mapping[str, object] = field(hash=False)
    scale: int
    parameters: int
    halo: int
    paper: str
    licence: str
    weights: tuple[str, ...] = ()
    multiple: int = 1
    tiling: str = "exact"

    @property
    def weights_kind(self) -> str:
        """'shipped' in ``model_zoo``, 'official' (found or downloaded), or 'none'."""
        if (store.model_zoo_folder() / self.name / "card.json").is_file():
            return "shipped"
        return "official" if self.weights else "none"

    @property
    def scores(self) -> dict:
        """Scores measured for a shipped model, from its card; empty for others."""
        if self.weights_kind != "shipped":
            return {}
        return store.read_card(store.model_zoo_folder() / self.name).get("scores", {})


# Halos: rrdb_lite_x4's is measured by benchmarks/halo.py: 8 keeps within 0.8/255, 12 within 0.03.
# The larger nets' is an eighth of their radius, as that 8 is of its 64: not measured.
# The others' are their radii, at most 48: but for that, and statistics of norms, tiles are exact.
ESRGAN_PAPER = "https://arxiv.org/abs/1809.00219"
DPED_PAPER = "https://arxiv.org/abs/1704.02470"
JOHNSON_PAPER = "https://arxiv.org/abs/1603.08155"
WESPE_PAPER = "https://arxiv.org/abs/1709.01118"
REAL_ESRGAN_PAPER = "https://arxiv.org/abs/2107.10833"
SRCNN_PAPER = "https://arxiv.org/abs/1501.00092"
SRGAN_PAPER = "https://arxiv.org/abs/1609.04802"
EDSR_PAPER = "https://arxiv.org/abs/1707.02921"

MODELS = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="rrdb_lite_x4",
            method="ESRGAN",
            net="rrdbnet.RRDBNet",
            kwargs={"scale": 4, "num_blocks": 4, "channels": 32, "growth_channels": 16},
            scale=4,
            parameters=758_755,
            halo=12,
            paper=ESRGAN_PAPER,
            licence="Apache-2.0",
        ),
        ModelSpec(
            name="rrdb_x4",
            method="ESRGAN",
            net="rrdbnet.RRDBNet",
            kwargs={"scale": 4, "num_blocks": 23, "channels": 64, "growth_channels": 32},
            scale=4,
            parameters=16_697_987,
            halo=48,
            paper=ESRGAN_PAPER,
            licence="Apache-2.0",
            weights=("RRDB_PSNR_x4.pth", "ESRGAN_PSNR_SRx4_DF2K_official-150ff491.pth"),
        ),
        ModelSpec(
            name="esrgan_x4",
            method="ESRGAN",
            net="rrdbnet.RRDBNet",
            kwargs={"scale": 4, "num_blocks": 23, "channels": 64, "growth_channels": 32},
            scale=4,
            parameters=16_697_987,
            halo=48,
            paper=ESRGAN_PAPER,
            licence="Apache-2.0",
            weights=("RRDB_ESRGAN_x4.pth", "ESRGAN_SRx4_DF2KOST_official-ff704c30.pth"),
        ),
        ModelSpec(
            name="realesrgan_x4",
            method="Real-ESRGAN",
            net="rrdbnet.RRDBNet",
            kwargs={"scale": 4, "num_blocks": 23, "channels": 64, "growth_channels": 32},
            scale=4,
            parameters=16_697_987,
            halo=48,
            paper=REAL_ESRGAN_PAPER,
            licence="BSD-3-Clause",
            weights=("RealESRGAN_x4plus.pth",),
        ),
        ModelSpec(
            name="realesrgan_x2",
            method="Real-ESRGAN",
            net="rrdbnet.RRDBNet",
            kwargs={"scale": 2, "num_blocks": 23, "channels": 64, "growth_channels": 32},
            scale=2,
            parameters=16_703_171,
            halo=48,
            multiple=2,
            paper=REAL_ESRGAN_PAPER,
            licence="BSD-3-Clause",
            weights=("RealESRGAN_x2plus.pth",),
        ),
        ModelSpec(
            name="realesrgan_anime_x4",
            method="Real-ESRGAN",
            net="rrdbnet.RRDBNet",
            kwargs={"scale": 4, "num_blocks": 6, "channels": 64, "growth_channels": 32},
            scale=4,
            parameters=4_467_779,
            halo=48,
            paper=REAL_ESRGAN_PAPER,
            licence="BSD-3-Clause",
            weights=("RealESRGAN_x4plus_anime_6B.pth",),
        ),
        ModelSpec(
            name="srcnn_x4",
            method="SRCNN",
            net="srcnn.SRCNN",
            kwargs={"scale": 4},
            scale=4,
            parameters=57_281,
            halo=8,
            paper=SRCNN_PAPER,
            licence="Apache-2.0",
        ),
        ModelSpec(
            name="srresnet_x4",
            method="SRResNet",
            net="srresnet.SRResNet",
            kwargs={"scale": 4, "num_blocks": 16},
            scale=4,
            parameters=1_549_462,
            halo=40,
            paper=SRGAN_PAPER,
            licence="Apache-2.0",
        ),
        ModelSpec(
            name="srgan_x4",
            method="SRGAN",
            net="srresnet.SRResNet",
            kwargs={"scale": 4, "num_blocks": 16},
            scale=4,
            parameters=1_549_462,
            halo=40,
            paper=SRGAN_PAPER,
            licence="Apache-2.0",
        ),
        ModelSpec(
            name="srgan_voc_x2",
            method="SRGAN",
            net="srresnet.SRResNet",
            kwargs={"scale": 2, "num_blocks": 5, "trunk_norm": False, "tanh": True},
            scale=2,
            parameters=586_379,
            halo=20,
            paper=SRGAN_PAPER,
            licence="MIT",
            weights=("netG_epoch_2_100.pth",),
        ),
        ModelSpec(
            name="srgan_voc_x4",
            method="SRGAN",
            net="srresnet.SRResNet",
            kwargs={"scale": 4, "num_blocks": 5, "trunk_norm": False, "tanh": True},
            scale=4,
            parameters=734_092,
            halo=20,
            paper=SRGAN_PAPER,
            licence="MIT",
            weights=("netG_epoch_4_100.pth",),
        ),
        ModelSpec(
            name="srgan_voc_x8",
            method="SRGAN",
            net="srresnet.SRResNet",
            kwargs={"scale": 8, "num_blocks": 5, "trunk_norm": False, "tanh": True},
            scale=8,
            parameters=881_805,
            halo=20,
            paper=SRGAN_PAPER,
            licence="MIT",
            weights=("netG_epoch_8_100.pth",),
        ),
        ModelSpec(
            name="msrresnet_x4",
            method="MSRResNet",
            net="srresnet.MSRResNet",
            kwargs={"scale": 4, "num_blocks": 16},
            scale=4,
            parameters=1_517_571,
            halo=36,
            paper=ESRGAN_PAPER,
            licence="Apache-2.0",
            weights=("msrresnet_x4c64b16_1x16_300k_div2k_20200521-61556be5.pth",),
        ),
        ModelSpec(
            name="edsr_baseline_x2",
            method="EDSR",
            net="edsr.EDSR",
            kwargs={"scale": 2, "num_blocks": 16, "channels": 64},
            scale=2,
            parameters=1_369_859,
            halo=40,
            paper=EDSR_PAPER,
            licence="MIT",
            weights=("edsr_baseline_x2-1bc95232.pt", "EDSR_Mx2_f64b16_DIV2K_official-3ba7b086.pth"),
        ),
        ModelSpec(
            name="edsr_baseline_x3",
            method="EDSR",
            net="edsr.EDSR",
            kwargs={"scale": 3, "num_blocks": 16, "channels": 64},
            scale=3,
            parameters=1_554_499,
            halo=40,
            paper=EDSR_PAPER,
            licence="MIT",
            weights=("edsr_baseline_x3-abf2a44e.pt", "EDSR_Mx3_f64b16_DIV2K_official-6908f88a.pth"),
        ),
        ModelSpec(
            name="edsr_baseline_x4",
            method="EDSR",
            net="edsr.EDSR",
            kwargs={"scale": 4, "num_blocks": 16, "channels": 64},
            scale=4,
            parameters=1_517_571,
            halo=40,
            paper=EDSR_PAPER,
            licence="MIT",
            weights=("edsr_baseline_x4-6b446fab.pt", "EDSR_Mx4_f64b16_DIV2K_official-0c287733.pth"),
        ),
        ModelSpec(
            name="edsr_x2",
            method="EDSR",
            net="edsr.EDSR",
            kwargs={"scale": 2, "num_blocks": 32, "channels": 256, "residual_scale": 0.1},
            scale=2,
            parameters=40_729_603,
            halo=48,
            paper=EDSR_PAPER,
            licence="MIT",
            weights=("edsr_x2-0edfb8a3.pt", "EDSR_Lx2_f256b32_DIV2K_official-be38e77d.pth"),
        ),
        ModelSpec(
            name="edsr_x3",
            method="EDSR",
            net="edsr.EDSR",
            kwargs={"scale": 3, "num_blocks": 32, "channels": 256, "residual_scale": 0.1},
            scale=3,
            parameters=43_680_003,
            halo=48,
            paper=EDSR_PAPER,
            licence="MIT",
            weights=("edsr_x3-ea3ef2c6.pt", "EDSR_Lx3_f256b32_DIV2K_official-3660f70d.pth"),
        ),
        ModelSpec(
            name="edsr_x4",
            method="EDSR",
            net="edsr.EDSR",
            kwargs={"scale": 4, "num_blocks": 32, "channels": 256, "residual_scale": 0.1},
            scale=4,
            parameters=43_089_923,
            halo=48,
            paper=EDSR_PAPER,
            licence="MIT",
            weights=("edsr_x4-4f62e9ef.pt", "EDSR_Lx4_f256b32_DIV2K_official-76ee1c8f.pth"),
        ),
        ModelSpec(
            name="edsr_lite_x2",
            method="EDSR",
            net="edsr.EDSR",
            kwargs={"scale": 2, "num_blocks": 8, "channels": 48},
            scale=2,
            parameters=439_107,
            halo=24,
            paper=EDSR_PAPER,
            licence="Apache-2.0",
        ),
        ModelSpec(
            name="realesr_video_x4",
            method="Real-ESRGAN",
            net="srvgg.SRVGGNetCompact",
            kwargs={"scale": 4, "num_convs": 16},
            scale=4,
            parameters=621_424,
            halo=20,
            paper=REAL_ESRGAN_PAPER,
            licence="BSD-3-Clause",
            weights=("realesr-animevideov3.pth",),
        ),
        ModelSpec(
            name="realesr_general_x4",
            method="Real-ESRGAN",
            net="srvgg.SRVGGNetCompact",
            kwargs={"scale": 4, "num_convs": 32},
            scale=4,
            parameters=1_213_296,
            halo=36,
            paper=REAL_ESRGAN_PAPER,
            licence="BSD-3-Clause",
            weights=("realesr-general-x4v3.pth",),
        ),
        ModelSpec(
            name="dped_iphone",
            method="DPED",
            net="dped.DPEDResNet",
            kwargs={},
            scale=1,
            parameters=401_475,
            halo=18,
            paper=DPED_PAPER,
            licence="none stated",
            weights=("iphone_orig.index",),
            tiling="global_statistics",
        ),
        ModelSpec(
            name="dped_sony",
            method="DPED",
            net="dped.DPEDResNet",
            kwargs={},
            scale=1,
            parameters=401_475,
            halo=18,
            paper=DPED_PAPER,
            licence="none stated",
            weights=("sony_orig.index",),
            tiling="global_statistics",
        ),
        ModelSpec(
            name="dped_blackberry",
            method="DPED",
            net="dped.DPEDResNet",
            kwargs={},
            scale=1,
            parameters=401_475,
            halo=18,
            paper=DPED_PAPER,
            licence="none stated",
            weights=("blackberry_orig.index",),
            tiling="global_statistics",
        ),
        ModelSpec(
            name="dped_resnet",
            method="DPED",
            net="dped.DPEDResNet",
            kwargs={},
            scale=1,
            parameters=401_475,
            halo=18,
            paper=DPED_PAPER,
            licence="Apache-2.0",
            tiling="global_statistics",
        ),
        ModelSpec(
            name="dped_resnet_bn",
            method="DPED",
            net="dped.DPEDResNet",
            kwargs={"norm": "batch"},
            scale=1,
            parameters=401_475,
            halo=18,
            paper=DPED_PAPER,
            licence="Apache-2.0",
        ),
        ModelSpec(
            name="dped_densenet",
            method="DPED",
            net="dped.DPEDDenseNet",
            kwargs={},
            scale=1,
            parameters=98_851,
            halo=41,
            paper=DPED_PAPER,
            licence="Apache-2.0",
            tiling="global_statistics",
        ),
        ModelSpec(
            name="dped_cycle",
            method="DPED",
            net="dped.DPEDResNet",
            kwargs={},
            scale=1,
            parameters=401_475,
            halo=18,
            paper=DPED_PAPER,
            licence="Apache-2.0",
            tiling="global_statistics",
        ),
        ModelSpec(
            name="plsr_x2",
            method="PLSR",
            net="plsr.PLSR",
            kwargs={},
            scale=2,
            parameters=380_288,
            halo=15,
            paper=JOHNSON_PAPER,
            licence="Apache-2.0",
        ),
        ModelSpec(
            name="plsr_x4",
            method="PLSR",
            net="plsr.JohnsonSR",
            kwargs={"scale": 4},
            scale=4,
            parameters=401_859,
            halo=14,
            paper=JOHNSON_PAPER,
            licence="Apache-2.0",
        ),
        ModelSpec(
            name="plsr_x8",
            method="PLSR",
            net="plsr.JohnsonSR",
            kwargs={"scale": 8},
            scale=8,
            parameters=438_915,
            halo=14,
            paper=JOHNSON_PAPER,
            licence="Apache-2.0",
        ),
        ModelSpec(
            name="wespe",
            method="WESPE",
            net="wespe.WESPEGenerator",
            kwargs={"norm": "instance"},
            scale=1,
            parameters=401_475,
            halo=18,
            paper=WESPE_PAPER,
            licence="Apache-2.0",
            tiling="global_statistics",
        ),
    )
}


def get_spec(name: str) -> ModelSpec:
    """Return the row of a model; upper and lower case are the same.

    Raises
    ------
    UnknownModelError
        If there is none; the message names the near ones.
    """
    try:
        return MODELS[name.lower()]
    except KeyError:
        near = difflib.get_close_matches(name.lower(), MODELS)
        hint = f"near ones are {', '.join(near)}; " if near else ""
        raise UnknownModelError(
            f"there is no model {name!r}; {hint}`gluon-enhance models` lists all"
        ) from None


def spec_from_card(card: Mapping) -> ModelSpec:
    """Return the spec of an exported model from its ``card.json``; its net is not known.

    Raises
    ------
    WeightsError
        If the card lacks what is needed to run the model.
    """
    known = {f.name for f in fields(ModelSpec)} - {"net", "kwargs", "weights"}
    try:
        return ModelSpec(net="", kwargs={}, **{k: v for k, v in card.items() if k in known})
    except TypeError as error:
        raise WeightsError(f"the card of {card.get('name')} is incomplete: {error}") from error


def list_models(pattern: str = "*", pretrained: Optional[bool] = None) -> list[str]:
    """List the names of models, in the table's order.

    Parameters
    ----------
    pattern : str
        Shell pattern, such as ``'rrdb*'`` or ``'*_x4'``.
    pretrained : bool, optional
        Only models with weights, shipped or official (True), or without (False).
    """
    return [
        name
        for name, spec in MODELS.items()
        if fnmatch.fnmatchcase(name, pattern.lower())
        and (pretrained is None or pretrained == (spec.weights_kind != "none"))
    ]


def get_model(
    name: str,
    pretrained: bool | str | os.PathLike = False,
    ctx=None,
    root: str | os.PathLike | None = None,
    **kwargs,
):
    """Build a model of the zoo, as ``gluon.model_zoo.vision.get_model`` does.

    Parameters
    ----------
    name : str
    pretrained : bool or path
        True for the zoo's weights, or a ``.params`` or ``.pth`` file. Without weights the net
        comes uninitialized, as Gluon's do: call ``net.initialize()``.
    ctx : mxnet.Context or list, optional
        Where to put the weights; default the CPU.
    root : path, optional
        Cache for downloaded weights; default ``MXNET_HOME/models``, else ``~/.mxnet/models``.
    **kwargs
        For the net's class, in place of those in the table.

    Returns
    -------
    HybridBlock
        Its ``spec`` attribute is the `ModelSpec`, with the kwargs it was built with.

    Raises
    ------
    UnknownModelError
        If there is no such model.
    WeightsError
        If the weights cannot be had, or do not fit.
    EngineError
        If MXNet is not installed.
    """
    spec = get_spec(name)
    module, _, class_name = spec.net.partition(".")
    net_class = getattr(importlib.import_module(f"gluon_enhance.models.{module}"), class_name)
    net = net_class(**{"prefix": f"{spec.name}_", **spec.kwargs, **kwargs})
    changed = {key: value for key, value in kwargs.items() if key in spec.kwargs}
    net.spec = replace(spec, kwargs={**spec.kwargs, **changed})
    if pretrained:
        from gluon_enhance.weights import convert

        convert.load_weights(net, _weights_path(spec, pretrained, root), ctx)
    return net


def _weights_path(spec, pretrained, root):
    if pretrained is not True:
        return store.given(pretrained)
    if spec.weights_kind == "shipped":
        return store.find_shipped(spec.name, ".params", root)
    if not spec.weights:
        raise WeightsError(
            f"{spec.name} has no trained weights; give a file of your own as "
            f"pretrained, or train it with train_scripts"
        )
    return store.find(spec.weights, root)
