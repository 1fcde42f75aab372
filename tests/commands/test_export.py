"""``gluon-enhance export``, checked by the folder it makes."""

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance.commands import main  # noqa: E402


def run(capsys, *arguments):
    """Exit status, standard output, and standard error."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code, *capsys.readouterr()


def test_the_folder_runs_as_a_model(tmp_path, capsys, picture):
    folder = tmp_path / "new" / "net"
    assert run(capsys, "export", "esrgan_lite_x4", folder)[:2] == (0, f"{folder}\n")
    image = picture[:16, :16]
    assert np.array_equal(ge.enhance(image, folder), ge.enhance(image, "esrgan_lite_x4"))


def test_only_the_formats_asked_for_are_written(tmp_path, capsys):
    assert run(capsys, "export", "dped_cycle", tmp_path / "net", "--formats", "onnx")[0] == 0
    names = sorted(path.name for path in (tmp_path / "net").iterdir())
    assert names == ["card.json", "dped_cycle.onnx", "dped_cycle.segments.zip"]


@pytest.mark.parametrize(
    "model, options, message",
    [
        ("no_such_model", (), "there is no model 'no_such_model'"),
        ("plsr_x8", (), "plsr_x8 has no trained weights"),
        ("esrgan_lite_x4=nowhere.params", (), "nowhere.params is no file"),
        ("nowhere-symbol.json", (), "are a pair, and one is missing"),
        ("esrgan_lite_x4", ("--formats", "onnx,tflite"), "choose from symbol, onnx, safetensors"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    model, options, message, tmp_path, capsys
):
    status, printed, error = run(capsys, "export", model, tmp_path / "net", *options)
    assert (status, printed) == (2, "")
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
