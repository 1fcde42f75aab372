"""``gluon-enhance quantize``, checked by what it prints and by the folder it makes."""

import json

import pytest

pytest.importorskip("openvino")

from gluon_enhance.commands import main  # noqa: E402
from gluon_enhance.exporting import quantize as search  # noqa: E402

MODEL = "edsr_lite_x2"


@pytest.fixture(autouse=True)
def quick_search(monkeypatch):
    monkeypatch.setattr(search, "BLOCKS", 4)
    monkeypatch.setattr(search._Search, "_gain", lambda self, net: 2.0)


def run(capsys, *arguments):
    """Exit status, standard output, and standard error."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code, *capsys.readouterr()


def test_the_folder_is_what_enhance_runs_in_8_bits(tmp_path, capsys, picture):
    from PIL import Image

    status, printed, told = run(capsys, "quantize", MODEL, tmp_path / "net", "--json")
    report = json.loads(printed)
    assert status == 0 and report["gain"] == 2 and "ranges" in told
    assert report["agreement_db"].keys() == report["at_least_db"].keys()
    Image.fromarray(picture).save(tmp_path / "a.png")
    arguments = ("-m", tmp_path / "net", "--engine", "openvino", tmp_path / "a.png", "--json")
    status, printed, _ = run(capsys, "enhance", *arguments)
    assert status == 0 and json.loads(printed)["precision"] == "int8"


def test_words_say_the_gain_the_agreement_and_the_folder(tmp_path, capsys):
    status, printed, _ = run(capsys, "quantize", MODEL, tmp_path / "net")
    gain, agreement, folder = printed.splitlines()
    assert status == 0 and folder == str(tmp_path / "net")
    assert gain.startswith(f"{MODEL}: 17 of 20 convolutions in 8 bits, 2.00 times as fast as ")
    assert agreement.startswith("dB of PSNR to fp32: pieces ") and "hatch" in agreement


@pytest.mark.parametrize(
    "options, message",
    [
        (["--at-least", "99"], "where pieces 99.0, photo 99.0"),
        (["--at-least", "nan"], "'nan' is not a finite number"),
        (["--calibrate", "nowhere"], "nowhere is not a folder"),
    ],
)
def test_what_cannot_be_had_has_status_2_and_leaves_nothing(options, message, tmp_path, capsys):
    status, printed, told = run(capsys, "quantize", MODEL, tmp_path / "net", *options)
    assert (status, printed) == (2, "") and message in told
    assert not list(tmp_path.iterdir())
