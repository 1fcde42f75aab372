"""``gluon-enhance convert`` and ``interpolate``, checked by the files they write."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")
sys.path.append(str(Path(__file__).resolve().parents[1] / "weights"))

from official_state import MODEL, random_state  # noqa: E402
from torch_files import write_zip  # noqa: E402

import gluon_enhance as ge  # noqa: E402
from gluon_enhance.commands import main  # noqa: E402
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


@pytest.fixture
def variants(tmp_path):
    """Two trained nets of one architecture that is not the table's, though its weights fit that."""
    files = []
    for name in "ab":
        net = ge.get_model("edsr_baseline_x2", num_blocks=1, channels=4, residual_scale=0.5)
        net.initialize(mx.init.Xavier())
        (tmp_path / name).mkdir()
        files.append(tmp_path / name / "edsr_baseline_x2.params")
        net.save_parameters(str(files[-1]))
        (tmp_path / name / "card.json").write_text(json.dumps(asdict(net.spec)))
    return files


def test_interpolated_variants_keep_their_options(variants, tmp_path, capsys):
    out = tmp_path / "new" / "c.params"
    status, printed, _ = run(capsys, "interpolate", *variants, "--alpha", "0.3", "-o", out)
    assert (status, printed) == (0, f"{out}\n")
    nets = [ge.get_model("edsr_baseline_x2", pretrained=path) for path in (*variants, out)]
    kwargs = {"scale": 2, "num_blocks": 1, "channels": 4, "residual_scale": 0.5}
    assert nets[0].spec == nets[2].spec and nets[2].spec.kwargs == kwargs
    a, b, c = (net.head.weight.data().asnumpy() for net in nets)
    assert np.allclose(c, 0.7 * a + 0.3 * b, atol=1e-6)
    again = run(capsys, "interpolate", *variants, "--alpha", "1", "-o", out)
    assert again[0] == 0 and (tmp_path / "new" / "card.json").exists()


def test_one_card_tells_the_options_of_both(variants, tmp_path, capsys):
    for path, other in (variants, variants[::-1]):
        card = other.with_name("card.json").rename(tmp_path / "elsewhere.json")
        out = tmp_path / path.parent.name / "new" / "c.params"
        assert run(capsys, "interpolate", path, other, "--alpha", "0.3", "-o", out)[0] == 0
        net = ge.get_model("edsr_baseline_x2", pretrained=out)
        assert net.spec.kwargs["residual_scale"] == 0.5
        card.rename(other.with_name("card.json"))


def test_another_models_card_is_not_overwritten(variants, tmp_path, capsys):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    out = variants[0].with_name("c.params")
    status, _, error = run(capsys, "interpolate", *variants, "--alpha", "0.3", "-o", out)
    assert status == 2 and "card.json speaks of other weights" in error
    assert error.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_nets_of_the_table_need_no_card(checkpoint, tmp_path, capsys):
    out = tmp_path / "new" / "c.params"
    assert run(capsys, "interpolate", checkpoint, checkpoint, "--alpha", "1", "-o", out)[0] == 0
    assert [*out.parent.iterdir()] == [out]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["convert", "realesr_vidio_x4", "official.pth", "out.params"],
            "near ones are realesr_video_x4",
        ),
        (["convert", MODEL, "nowhere.pth", "out.params"], "nowhere.pth is no file"),
        (
            ["convert", "srcnn_x4", "official.pth", "out.params"],
            "SRVGGNetCompact of scale 4, and srcnn_x4",
        ),
        (["convert", MODEL, "official.pth", "out.pth"], "out.pth does not end in .params"),
        (["convert", MODEL, "official.pth"], "Missing argument 'OUT'"),
        (["interpolate", "official.pth", "official.pth", "-o", "out.params"], "'--alpha'"),
        (
            ["interpolate", "official.pth", "official.pth", "--alpha", "2", "-o", "out.params"],
            "2.0 is not in the range 0<=x<=1",
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
