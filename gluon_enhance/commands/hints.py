"""Options of other programs' users, with ours in their place."""

from __future__ import annotations

import click

from gluon_enhance.commands import Command

HINTS = {
    "-n": "-m MODEL, such as -m realesrgan_x4",
    "--model_name": "-m MODEL, such as -m realesrgan_x4",
    "--model_path": "-m NAME=FILE",
    "-i": "an argument: gluon-enhance enhance INPUT",
    "--input": "an argument: gluon-enhance enhance INPUT",
    "-s": "--outscale N",
    "--scale": "--outscale N",
    "-t": "--tile N",
    "--tile_size": "--tile N",
    "--tile_pad": "--halo N",
    "-g": "--device cuda:N",
    "--gpu-id": "--device cuda:N",
    "--gpu_id": "--device cuda:N",
    "--fp32": "--precision fp32",
    "-d": "--denoise N, from 0 to 1",  # of -dn
    "--denoise_strength": "--denoise N, from 0 to 1",
    "-x": "--self-ensemble",
    "-f": "--ext EXT",
    "-j": "--threads N",
}
"""What Real-ESRGAN's scripts and programs call it -> what it is called here."""


class EnhanceCommand(Command):
    """A command whose unknown options are answered with ours, where there is one."""

    def parse_args(self, context, arguments):
        """Parse the arguments, and name our option for one of another program."""
        try:
            return super().parse_args(context, arguments)
        except click.NoSuchOption as error:
            hint = HINTS.get(error.option_name)
            if hint is None:
                raise
            raise click.NoSuchOption(
                error.option_name,
                f"No such option: {error.option_name}; here it is {hint}",
                ctx=context,
            ) from error
