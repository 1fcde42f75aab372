"""``gluon-enhance convert`` and ``interpolate``, checked by the files they write."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")
sys.path.append(str(Path(__file__).resolve().parents[1] / "weights"))

from official_state import MODEL, random_state  # noqa: E402
from torch_files import write_zip  # noqa: E402

import gluon_enhance as ge  # noqa: E402
from gluon_enhance.cli import main  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402


@pytest.fixture
def checkpoint(tmp_path, rng):
    write_zip(tmp_path / "official.pth", random_state(rng))
    return tmp_path / "official.pth"


def run(capsys, *arguments):
    """Exit status, standard output, and standard error."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code, *capsys.readouterr()


def output_of(weights):
    x = mx.nd.array(np.random.default_rng(1).random((1, 3, 6, 5)))
    return ge.get_model(MODEL, pretrained=weights)(x).asnumpy()


def test_a_converted_checkpoint_is_the_same_net(checkpoint, tmp_path, capsys):
    out = tmp_path / "new" / "net.params"
    status, printed, _ = run(capsys, "convert", MODEL, checkpoint, out)
    assert (status, printed) == (0, f"{out}\n")
    assert np.array_equal(output_of(out), output_of(checkpoint))
    assert set(mx.nd.load(str(out))) == set(ge.get_model(MODEL)._collect_params_with_prefix())
    assert ge.convert(MODEL, out, tmp_path / "again.params") == tmp_path / "again.params"
    assert (tmp_path / "again.params").read_bytes() == out.read_bytes()


def test_interpolated_weights_lie_between_and_load(checkpoint, tmp_path, capsys):
    other = {key: array + 0.001 for key, array in ge.interpolate(checkpoint, checkpoint, 0).items()}
    write_zip(tmp_path / "other.pth", other)
    out = tmp_path / "net.params"
    arguments = (checkpoint, tmp_path / "other.pth", "--alpha", "0.3", "-o", out)
    status, printed, _ = run(capsys, "interpolate", *arguments)
    assert (status, printed) == (0, f"{out}\n")
    middle = {key: array - 0.0007 for key, array in other.items()}
    assert np.abs(output_of(out) - output_of(middle)).max() < 1e-5


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["convert", "realesr_vidio_x4", "official.pth", "out.params"],
            "near ones are realesr_video_x4",
        ),
        (["convert", MODEL, "nowhere.pth", "out.params"], "nowhere.pth is no file"),
        (["convert", "srcnn_x4", "official.pth", "out.params"], "no weights of SRCNN"),
        (["convert", MODEL, "official.pth", "out.pth"], "out.pth does not end in .params"),
        (["convert", MODEL, "official.pth"], "Missing argument 'OUT'"),
        (["interpolate", "official.pth", "official.pth", "-o", "out.params"], "'--alpha'"),
        (
            ["interpolate", "official.pth", "official.pth", "--alpha", "2", "-o", "out.params"],
            "alpha is 2.0; give a number from 0",
        ),
        (
            ["interpolate", "official.pth", "rrdb_lite_x4", "--alpha", "1", "-o", "out.params"],
            "missing body.0.weight",
        ),
    ],
)
def test_wrong_use_is_named_and_nothing_is_written(
    checkpoint, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out.params").write_bytes(b"old")
    status, printed, errors = run(capsys, *arguments)
    assert (status, printed) == (2, "")
    assert message.lower() in errors.lower()
    assert (tmp_path / "out.params").read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"out.params", "official.pth"}
