"""What an engine must do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Engine(Protocol):
    """A model, made ready for a processor or a GPU.

    Its class is made with the model and the keywords of `gluon_enhance.engines.load`, and ignores
    those that do not concern it. It compiles for the shape of the batch that it is given and keeps
    the static graphs of two shapes, so a run should use one, or one and its transpose.
    """

    def describe(self) -> dict:
        """Name ``engine``, its ``version``, ``precision``, ``device`` and ``threads``."""

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run tiles.

        Parameters
        ----------
        batch : ndarray of shape (N, 3, H, W), float32

        Returns
        -------
        ndarray of shape (N, 3, H * scale, W * scale), float32
        """


class FileEngine(Engine, Protocol):
    """An engine that runs a file, of any inputs and outputs."""

    def compute(
        self,
        arrays: Sequence[np.ndarray],
        as_features: bool = False,
        out: list[np.ndarray] | None = None,
    ) -> list[np.ndarray]:
        """Run any inputs, in the file's order, and give its outputs.

        Parameters
        ----------
        arrays : sequence of ndarray
            Float32, or 16 bits as ``as_features`` gives them.
        as_features : bool
            Give the outputs in 16 bits, to be inputs of other files: float16, or bfloat16, which
            NumPy lacks, as uint16.
        out : list of ndarray, optional
            What an earlier call for the same shapes gave; it may be written into and given again.
        """
