"""Commands that are stopped say what they have done, and by what they were stopped."""

import json
import signal

import numpy as np
import pytest
from click.testing import CliRunner

from gluon_enhance.commands import cli
from gluon_enhance.commands import enhance as enhance_module
from gluon_enhance.commands import score as score_module
from gluon_enhance.photos import Photo, write_image

SIGNALS = pytest.mark.parametrize(
    "number, status, word",
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)


@pytest.fixture(autouse=True)
def ctrl_c_raises():
    """Also where the tests run in the background, for which shells have it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def folders(tmp_path, picture):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for k in range(3):
            write_image(tmp_path / folder / f"{k}.png", Photo(picture))
    return tmp_path / "a", tmp_path / "b"


def at_second_call(function, number):
    calls = []

    def stopped(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            signal.getsignal(number)(number, None)  # as if it had come
        return function(*arguments, **options)

    return stopped


@SIGNALS
@pytest.mark.parametrize("command", ["score", "evaluate"])
def test_scores_so_far_are_printed(folders, monkeypatch, command, number, status, word):
    a, b = map(str, folders)
    stopped = at_second_call(score_module.score_pair, number)
    monkeypatch.setattr(f"gluon_enhance.commands.{command}.score_pair", stopped)
    arguments = {
        "score": ["score", a, b, "--json"],
        "evaluate": ["evaluate", "-m", "bicubic", "--scale", "2", "--hr", a, "--json"],
    }
    result = CliRunner().invoke(cli, arguments[command])
    assert result.exit_code == status and word in result.stderr
    assert len(json.loads(result.stdout)["images"]) == 1


@SIGNALS
def test_enhance_reports_the_files_that_were_not_begun_too(
    folders, enhance_with_repeats, monkeypatch, number, status, word
):
    net = enhance_module.load
    monkeypatch.setattr(net, "__call__", at_second_call(net.__call__, number))
    result = enhance_with_repeats(folders[0], "-o", folders[0].parent / "out", "--json")
    assert result.exit_code == status and word in result.stderr
    status_of = [report["status"] for report in json.loads(result.stdout)["files"]]
    assert status_of == ["done", "unfinished", "unfinished"]
    assert "wrote 1 file to" in result.stderr and "2 unfinished" in result.stderr


def test_the_handler_of_sigterm_is_put_back(enhance_with_repeats, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    write_image(tmp_path / "a.png", Photo(np.zeros((4, 4, 3), np.uint8)))
    assert enhance_with_repeats(tmp_path / "a.png").exit_code == 0
    assert signal.getsignal(signal.SIGTERM) is before
