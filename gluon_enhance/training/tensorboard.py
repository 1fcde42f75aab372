"""TensorBoard's event files of a run, where tensorboardX is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gluon_enhance.errors import TrainingError

FOLDER = "tensorboard"


class EventFiles:
    """Write scalars and samples for TensorBoard.

    Parameters
    ----------
    out : path
        Folder of the run; the files go to ``tensorboard`` in it.
    count : int
        Steps done before: of later ones what an interrupted run wrote no longer counts.

    Raises
    ------
    TrainingError
        If tensorboardX is not installed.
    """

    def __init__(self, out: Path, count: int):
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise TrainingError(
                'tensorboardX is not installed; pip install "gluon-enhance[tensorboard]"'
            ) from error
        self._writer = SummaryWriter(str(out / FOLDER), purge_step=count + 1 if count else None)

    def add_row(self, row: dict) -> None:
        """Write the numbers of a row of the log."""
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, row["step"])
        self._writer.flush()

    def add_samples(self, picture: np.ndarray, count: int) -> None:
        """Write the table of samples, (H, W, 3) uint8."""
        self._writer.add_image("samples", picture, count, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
