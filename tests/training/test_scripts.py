"""What all training scripts have in common: help, starts, models, schedules of the reports."""

import csv
import functools
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from gluon_enhance import zoo
from gluon_enhance.errors import WeightsError
from gluon_enhance.framework import mx
from gluon_enhance.training import loop, recipe
from gluon_enhance.training.checkpoint_files import save_arrays

SCRIPTS = Path(__file__).resolve().parents[2] / "train_scripts"
NAMES = sorted(path.stem[len("train_") :] for path in SCRIPTS.glob("train_*.py"))
ENLARGING = ("distill", "edsr", "esrgan", "plsr", "srcnn", "srgan", "srresnet")


@pytest.fixture(autouse=True)
def without_curves(monkeypatch):
    monkeypatch.setattr(loop, "plot_curves", lambda history, path: None)


@pytest.mark.parametrize("name", NAMES)
def test_example_lines_of_the_help_keep_their_backslashes(name, script, capsys):
    with pytest.raises(SystemExit):
        script(name).main(["--help"])
    examples = capsys.readouterr().out.split(f"python train_scripts/train_{name}.py")[1:]
    assert examples
    for example in examples:
        first, *others = example.split("\n\n")[0].rstrip().splitlines()
        assert not others or others[0].startswith("    python") or first.endswith(" \\")


@pytest.mark.parametrize("name", ENLARGING)
def test_a_net_that_does_not_enlarge_is_refused_with_the_script_that_fits(name, script, photos):
    options = ["--data", str(photos), "--out", "run", "--model", "dped_resnet"]
    options += ["--init", "srresnet_x4"]
    message = "--model is dped_resnet, which does not enlarge; train it with train_dped.py"
    with pytest.raises(ValueError, match=message):
        script(name).main(options)


@pytest.mark.parametrize("name", ["dped", "dped_cycle", "style", "wespe"])
def test_a_net_that_enlarges_is_refused_with_the_scripts_that_fit(name, script, photos):
    options = ["--data", str(photos), "--out", "run", "--model", "srcnn_x4"]
    options += ["--style", "x"] if name == "style" else []
    message = "--model is srcnn_x4, which enlarges by 4; train it with train_srresnet.py"
    with pytest.raises(ValueError, match=message):
        script(name).main(options)


@pytest.fixture(scope="module")
def remembering():
    """What builds nets and opens photos, once for all that only ask for them."""
    owners = {"get_model": zoo, "enlarging_photos": recipe, "phone_photos": recipe}
    return [(owner, name, functools.cache(getattr(owner, name))) for name, owner in owners.items()]


@pytest.mark.parametrize("name", NAMES)
def test_every_net_of_the_table_is_taken_or_refused_in_one_line(
    name, script, photos, remembering, monkeypatch, capsys
):
    for owner, function, remembered in remembering:
        monkeypatch.setattr(owner, function, remembered)
    module, options = script(name), ["--patch-size", "48", "--reductions", "1.0", "--dry-run"]
    if name == "style":  # which needs larger photos
        options += ["--style", str(next(photos.iterdir()))]
        monkeypatch.setattr(module, "open_data", lambda config: "photos")
    elif name in ENLARGING:
        options += ["--init", "srresnet_x4", "--patch-size", "16"]
    else:
        options = [word for word in options if word not in ("--reductions", "1.0")]
    options += ["--sample-size", "24"] if name == "distill" else []
    for model, spec in zoo.MODELS.items():
        command = ["--data", str(photos), "--out", "run", "--model", model, *options]
        if (spec.scale > 1) == (name in ENLARGING):
            module.main(command)
            assert json.loads(capsys.readouterr().out)["model"] == model
        else:
            with pytest.raises(ValueError, match="--model is [^\n]*; train it with [^\n]*$"):
                module.main(command)


@pytest.mark.parametrize(
    "name, model, sizes",
    [
        ("srcnn", "realesr_video_x4", ()),  # which has no start of its own
        ("edsr", "msrresnet_x4", ()),
        ("srresnet", "rrdb_lite_x4", ()),
        ("esrgan", "realesrgan_lite_x2", ()),
        ("esrgan", "realesrgan_x2", ("num_blocks=1",)),  # whose interpolating start is of scale 4
    ],
)
def test_any_net_that_enlarges_trains_at_once(name, model, sizes, train, tmp_path):
    options = ("--net", *sizes) if sizes else ()
    train(name, tmp_path, "--model", model, "--iterations", 1, *options)
    zoo.get_model(model, pretrained=tmp_path / f"{model}.params")


def test_a_patch_that_a_net_cannot_take_is_refused(train, tmp_path):
    with pytest.raises(ValueError, match="--patch-size is 9; realesrgan_x2 takes multiples"):
        train("esrgan", tmp_path, "--model", "realesrgan_x2", "--patch-size", 9)


def printed(script, name, capsys, *options):
    with pytest.raises(SystemExit):
        script(name).main([*options, "--print-config"])
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "name, options, expected",
    [
        ("dped", (), {"schedule": "constant", "warmup": 0, "start": "paper"}),
        ("dped_cycle", (), {"schedule": "constant", "start": "paper", "learning_rate": 1e-3}),
        ("wespe", (), {"schedule": "constant", "start": "kaiming_uniform"}),
        ("plsr", (), {"schedule": "constant", "start": "xavier", "betas": [0.9, 0.99]}),
        ("plsr", (), {"sampling": "epochs"}),
        ("srgan", (), {"schedule": "multistep", "milestones": [0.5], "decay": 0.1}),
        ("wespe", ("--start", "identity"), {"schedule": "constant", "start": "identity"}),
    ],
)
def test_the_reports_recipe_has_its_schedule_and_start(name, options, expected, script, capsys):
    config = printed(script, name, capsys, "--recipe", "report", *options)
    assert {key: config[key] for key in expected} == expected


@pytest.mark.parametrize("name", NAMES)
def test_without_a_recipe_the_rate_falls_as_a_cosine(name, script, capsys):
    config = printed(script, name, capsys)
    assert (config["schedule"], config["warmup"], config["start"]) == ("cosine", 200, None)


def test_multistep_halves_the_rate_where_edsrs_and_esrgans_papers_do(script, capsys):
    assert printed(script, "edsr", capsys)["milestones"] == [200_000]
    assert printed(script, "esrgan", capsys)["milestones"] == [2e5, 4e5, 6e5, 8e5]
    gan = printed(script, "esrgan", capsys, "--phase", "gan")
    assert gan["milestones"] == [5e4, 1e5, 2e5, 3e5] and gan["decay"] == 0.5


def test_critics_and_generators_start_from_files_by_name(train, vgg_file, tmp_path):
    options = ("--critic-channels", 2, "--vgg", vgg_file(19), "--iterations", 1, "--keep-weights")
    train("srgan", tmp_path / "one", *options)
    critic = tmp_path / "one" / "checkpoints" / "step-0000001" / "critic.params"
    still = ("--learning-rate", 1e-12, "--init", "srresnet_x4", f"critic={critic}")
    train("srgan", tmp_path / "two", *options, *still)
    again = tmp_path / "two" / "checkpoints" / "step-0000001" / "critic.params"
    ours, theirs = (mx.nd.load(str(path)) for path in (critic, again))
    for name in (name for name in ours if name.endswith("weight")):
        np.testing.assert_allclose(ours[name].asnumpy(), theirs[name].asnumpy(), atol=1e-9)


def test_a_nets_part_is_taken_and_one_with_nan_is_refused_by_its_file(train, tmp_path, caplog):
    arrays = mx.nd.load(str(zoo.find_weights(zoo.get_spec("srcnn_x4"))))
    part = {name: a.astype("float32") for name, a in arrays.items() if name.startswith("head")}
    save_arrays(tmp_path / "part.params", part)
    options = ("--patch-size", 18, "--iterations", 1, "--init", tmp_path / "part.params")
    with pytest.raises(WeightsError):
        train("srcnn", tmp_path / "strict", *options)
    with caplog.at_level(logging.INFO):
        train("srcnn", tmp_path / "run", *options, "--init-partial", "--learning-rate", 1e-12)
    assert "part.params: 2 arrays taken" in caplog.text
    trained = mx.nd.load(str(tmp_path / "run" / "srcnn_x4.params"))
    for name, array in part.items():
        np.testing.assert_allclose(trained[name].asnumpy(), array.asnumpy(), atol=1e-6)


def test_named_sets_are_scored_whole_and_the_test_is_in_the_card_alone(train, photos, tmp_path):
    options = ("--val", f"Three={photos}", photos, "--test", f"Again={photos}", "--iterations", 1)
    other = tmp_path / "photos"
    other.mkdir()
    for path in photos.iterdir():
        (other / f"copy_{path.name}").write_bytes(path.read_bytes())
    train("srcnn", tmp_path / "run", "--patch-size", 18, *options, data=other)
    (row,) = csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines())
    assert float(row["psnr_y"]) > 20 and float(row["psnr_y_Three"]) > 20
    assert not any("test" in name or "Again" in name for name in row)
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert card["test"]["test_psnr_y_Again"] == pytest.approx(float(row["psnr_y_Three"]), abs=1e-6)


def test_the_result_is_the_best_net_where_a_score_is_named(train, tmp_path):
    options = ("--iterations", 4, "--validate-every", 1, "--learning-rate", 0.1, "--warmup", 0)
    options += ("--best", "psnr_y", "--schedule", "constant", "--keep-weights")
    train("srcnn", tmp_path, "--patch-size", 18, *options)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    best = max(rows, key=lambda row: float(row["psnr_y"]))
    card = json.loads((tmp_path / "card.json").read_text())
    assert str(card["best"]["step"]) == best["step"] == str(card["log"][0]["step"])
    chosen = mx.nd.load(str(tmp_path / "weights" / f"step-000000{best['step']}.params"))
    for name, array in mx.nd.load(str(tmp_path / "srcnn_x4.params")).items():
        assert np.array_equal(array.asnumpy(), chosen[name].asnumpy())
