"""Standard input and output in the places of files."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Optional

import click

from gluon_enhance.atomic import temporary_folder
from gluon_enhance.errors import ImageError
from gluon_enhance.photos.formats import names
from gluon_enhance.photos.read import HEAD_BYTES, format_of

PIPE = "-"


class Pipes:
    """Files in a temporary folder, made if there is a ``-``, that stand for it; a context manager.

    Parameters
    ----------
    inputs : tuple of str
    output : Path, optional
        ``-`` is standard output; so is none, if standard input is the only input.

    Attributes
    ----------
    inputs, output
        The same with files in the places of pipes.
    to_stdout : bool
    are_used : bool

    Raises
    ------
    click.UsageError
        If several files would go to standard output, or it is a terminal.
    """

    def __init__(self, inputs: tuple, output: Optional[Path]):
        self.inputs, self.output = inputs, output
        self.to_stdout = str(output) == PIPE or (output is None and inputs == (PIPE,))
        self.are_used = self.to_stdout or PIPE in inputs
        self._temporary, self._folder = ExitStack(), Path()
        if inputs.count(PIPE) > 1:
            raise click.UsageError("standard input (-) is given more than once")
        if self.to_stdout and (len(inputs) != 1 or Path(inputs[0]).is_dir()):
            raise click.UsageError("-o - takes one file; give -o FOLDER for several")
        closed = [sys.stdin] * (PIPE in inputs) + [sys.stdout] * self.to_stdout
        if None in closed:
            raise click.UsageError("a standard stream (-) is closed; name a file")
        if self.to_stdout and sys.stdout.isatty():
            raise click.UsageError("standard output is a terminal; redirect it, or give -o FILE")

    def __enter__(self) -> Pipes:
        if not self.are_used:
            return self
        self._folder = self._temporary.enter_context(temporary_folder())
        try:
            if PIPE in self.inputs:
                file = str(self._spool(sys.stdin.buffer))
                self.inputs = tuple(file if text == PIPE else text for text in self.inputs)
        except BaseException:
            self._temporary.close()
            raise
        if self.to_stdout:
            self.output = self._folder
        return self

    def __exit__(self, *_):
        self._temporary.close()

    def named(self, report: dict) -> dict:
        """Have a report name pipes as the user did."""
        for key in ("input", "output"):
            if Path(report[key]).parent == self._folder:
                report[key] = PIPE
        return report

    def deliver(self, path: Path) -> None:
        """Copy a result, which is complete, to standard output, if it belongs there."""
        if self.to_stdout:
            stream = sys.stdout.buffer
            with open(path, "rb") as file:
                shutil.copyfileobj(file, stream)
            stream.flush()

    def _spool(self, stream):
        """Copy standard input to a file; what is no picture is not read to its end."""
        head = stream.read(HEAD_BYTES)
        form = format_of(head)
        if form is None:
            fault = f"no {names()} file" if head else "empty"
            raise ImageError(f"standard input is {fault}")
        path = self._folder / f"stdin{form.suffixes[0]}"
        with open(path, "wb") as file:
            file.write(head)
            shutil.copyfileobj(stream, file)
        return path
