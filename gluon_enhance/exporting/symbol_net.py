"""Nets of others, each of whose sizes of images is checked before MXNet runs them."""

from __future__ import annotations

from pathlib import Path

from gluon_enhance.engines import WAY_OUT
from gluon_enhance.errors import EngineError
from gluon_enhance.exporting.symbol_shapes import SymbolCheck
from gluon_enhance.framework import mx


class CheckedNet(mx.gluon.SymbolBlock):
    """A net that runs images of the shapes alone that pass, whoever gives them to it.

    Parameters
    ----------
    graph, image : Symbol
        As a SymbolBlock has them.
    path : Path
        Of its symbol file, for the error.
    check : SymbolCheck

    Inputs:
        - **x**: image of shape (N, 3, H, W), as an array: a Symbol has no shape to check.

    Raises
    ------
    EngineError
        If its shape does not pass.
    """

    is_trusted = False

    def __init__(self, graph, image, path: Path, check: SymbolCheck):
        super().__init__(graph, image)
        self._path, self._check = path, check

    def forward(self, x):
        """Check the shape, and run."""
        try:
            self._check.check(x.shape)
        except ValueError as error:
            raise EngineError(
                f"{self._path} is no net that is run here: {error!s:.300}; {WAY_OUT}"
            ) from error
        return super().forward(x)
