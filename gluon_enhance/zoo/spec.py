"""What is known of a model without building it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

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
        differ by at most 1/255; by 2.6/255 at RRDBs of 23 blocks.
    paper : str
        Its address.
    license : str
        Of the weights.
    weights : tuple of str
        Official files in the manifest, any of which will do; the first is the one downloaded.
        Empty for models trained by this project.
    multiple : int
        The input's height and width must be multiples of it.
    stride : int
        Ratio of the input's size to that of the net's smallest maps. Only tiles that begin at its
        multiples are divided as the whole image is; where an image ends does not matter.
    min_size : int
        Pixels that each side of an image must have.
    tiling : {'exact', 'global_statistics'}
        Whether tiles can be computed one by one, or must share the image's statistics.
    purpose : str
        What to take it for, in a few words; empty for models of others.
    """

    name: str
    method: str
    net: str
    kwargs: Mapping[str, object] = field(hash=False)
    scale: int
    parameters: int
    halo: int
    paper: str
    license: str
    weights: tuple[str, ...] = ()
    multiple: int = 1
    stride: int = 1
    min_size: int = 1
    tiling: str = "exact"
    purpose: str = ""

    @property
    def unit(self) -> int:
        """Pixels of which the places where tiles begin are multiples."""
        return math.lcm(self.multiple, self.stride)

    @property
    def weights_kind(self) -> str:
        """'shipped' in ``model_zoo``, 'official' (found or downloaded), or 'none'."""
        if (store.model_zoo_folder() / self.name / "card.json").is_file():
            return "shipped"
        return "official" if self.weights else "none"

    @property
    def checked_by(self) -> Optional[str]:
        """What tells that a file of its weights is the right one; None if it has no weights.

        'SHA-256', or of official files of which only its first 8 digits are published 'prefix'.
        """
        if self.weights_kind == "official":
            return store.manifest()[self.weights[0]].checked_by
        return "SHA-256" if self.weights_kind == "shipped" else None

    @property
    def scores(self) -> dict:
        """Scores measured for a shipped model, from its card; empty for others."""
        if self.weights_kind != "shipped":
            return {}
        return store.read_card(store.model_zoo_folder() / self.name).get("scores", {})
