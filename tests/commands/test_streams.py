"""Commands whose standard streams are closed."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gluon_enhance import framework
from gluon_enhance.commands import COMMANDS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shells of Unix close streams")


def run(folder, command, closed):
    line = f'"$0" -m gluon_enhance {command} {closed}'
    return subprocess.run(
        ["sh", "-c", line, sys.executable], cwd=folder, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def folder(tmp_path):
    pixels = np.arange(768).astype(np.uint8).reshape(16, 16, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.tif")
    return tmp_path


@pytest.mark.parametrize("closed", ["2>&-", "2>&- <&-", ">&- 2>&- <&-"])
def test_work_is_done_in_silence_where_standard_error_is_closed(folder, closed):
    result = run(folder, "enhance a.png b.tif -m nearest -o out --bands each", closed)
    assert (result.returncode, result.stdout) == (0, "")
    with Image.open(folder / "out" / "a_x4.png") as image:
        assert image.size == (64, 64)
    assert (folder / "out" / "b_x4.tif").exists()


@pytest.mark.parametrize(
    "command",
    [
        "match b.tif b.tif out.tif -v",
        "score a.png a.png --json",
        "evaluate -m bicubic --hr a.png --scale 2",
        "models 'rrdb*' --json",
        "interpolate rrdb_lite_x4 esrgan_lite_x4 --alpha 0.5 -o out.params",
    ],
)
def test_other_commands_go_on_too(folder, command):
    assert command.split()[0] in COMMANDS
    if command.startswith("interpolate") and not framework.is_mxnet_installed():
        pytest.skip("MXNet is not installed")
    result = run(folder, command, "2>&-")
    assert result.returncode == 0
    if "--json" in command:
        assert json.loads(result.stdout)
    if "out." in command:
        assert list(folder.glob("out.*"))


def test_failures_are_told_by_the_status(folder):
    (folder / "c.png").write_text("words")
    assert run(folder, "enhance c.png -m nearest", "2>&-").returncode == 2
    assert run(folder, "enhance a.png c.png -m nearest -o out", "2>&-").returncode == 1
    assert run(folder, "match a.png none.tif out.tif", "2>&-").returncode == 2
    assert run(folder, "enhance - -m nearest -o out.png", "<&- 2>&-").returncode == 2
    assert run(folder, "enhance a.png -m nearest -o -", ">&- 2>&-").returncode == 2
