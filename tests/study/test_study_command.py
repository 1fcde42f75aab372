"""``gluon-enhance study``: what new makes, what results prints, what serve says."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import closing

import numpy as np
import pytest
from click.testing import CliRunner
from small_study import small_study

from gluon_enhance.commands import cli, main
from gluon_enhance.imaging.resize import resize, resize_rounding_once
from gluon_enhance.photos import Photo, read_image, write_image
from gluon_enhance.study.database import Database, file_url
from gluon_enhance.study.design import read_study
from gluon_enhance.study.make import middle


@pytest.fixture
def pictures(tmp_path, rng):
    """Three pictures of 50x41 pixels in a folder, one with EXIF data."""
    made = {name: rng.integers(0, 256, (41, 50, 3), np.uint8) for name in ("a", "b", "c")}
    (tmp_path / "photos").mkdir()
    for name, pixels in made.items():
        write_image(tmp_path / "photos" / f"{name}.png", Photo(pixels), software="Secret 1.0")
    return made


def run(folder, *arguments):
    """Run the command with paths of a folder in place of those that begin with @."""
    words = [str(one).replace("@", f"{folder}/") for one in arguments]
    return CliRunner().invoke(cli, ["study", *words])


def shown(folder, method, name):
    return read_image(folder / "study" / "pictures" / method / f"{name}.png").pixels


def test_models_get_originals_reduced_which_are_the_reference(tmp_path, pictures):
    options = ("-m", "nearest", "-m", "bicubic", "--shrink", "--anchor", "nearest=1")
    result = run(tmp_path, "new", "@study", "@photos", *options, "--crop", 32, "--repeats", 1)
    assert result.exit_code == 0, result.output
    assert "3 methods, 2 pictures and 1 for training, 10 ratings a person" in result.output
    study = read_study(tmp_path / "study")
    assert study.methods == ("nearest", "bicubic", "original") and study.reference == "original"
    assert (study.training, study.pictures) == (("a",), ("b", "c"))
    assert study.anchors == (("nearest", 1),)
    whole = pictures["b"][:40, :48]
    small = resize(whole, 1 / 4)
    assert np.array_equal(shown(tmp_path, "original", "b"), whole[4:36, 8:40])
    enlarged = resize_rounding_once(small, 4)
    assert np.array_equal(shown(tmp_path, "bicubic", "b"), enlarged[4:36, 8:40])


def test_pictures_of_a_study_say_nothing_of_themselves(tmp_path, pictures):
    run(tmp_path, "new", "@study", "--files", "one=@photos", "--files", "two=@photos")
    assert b"Secret" in (tmp_path / "photos" / "b.png").read_bytes()
    assert b"Secret" not in (tmp_path / "study/pictures/one/b.png").read_bytes()


def test_a_net_is_a_method_by_its_name(tmp_path, pictures):
    engine = ("--engine", "openvino", "--threads", 1)
    options = ("-m", "edsr_lite_x2", "-m", "bilinear", *engine)
    result = run(tmp_path, "new", "@study", "@photos/a.png", "@photos/b.png", *options)
    assert result.exit_code == 0, result.output
    assert shown(tmp_path, "edsr_lite_x2", "b").shape == (82, 100, 3)
    assert read_study(tmp_path / "study").reference is None


def test_files_of_others_are_methods_and_one_is_the_reference(tmp_path, pictures):
    for method in ("truth", "mine"):
        (tmp_path / method).mkdir()
        for name, pixels in pictures.items():
            write_image(tmp_path / method / f"{name}.tif", Photo(pixels // (1 + len(method) % 2)))
    files = ("--files", "truth=@truth", "--files", "mine=@mine", "--reference", "truth")
    result = run(tmp_path, "new", "@study", *files, "--kind", "dcr", "--training", 0)
    assert result.exit_code == 0, result.output
    assert np.array_equal(shown(tmp_path, "mine", "c"), pictures["c"])
    assert len(read_study(tmp_path / "study").sequence(0)) == 6


def test_files_of_any_name_are_pictures_and_who_is_named_twice_is_shown_once(tmp_path, pictures):
    photos, names = tmp_path / "photos", ("_DSC0001", "日本", "Größe", "<b>x", "y" * 150)
    for name in names:
        write_image(photos / f"{name}.png", Photo(pictures["a"]))
    models = ("-m", "bicubic", "-m", "nearest")
    result = run(tmp_path, "new", "@study", "@photos", "@photos/_DSC0001.png", *models)
    assert result.exit_code == 0, result.output
    study = read_study(tmp_path / "study")
    given = (*study.training, *study.pictures)
    assert sorted(given) == ["DSC0001", "Gr__e", "a", "b", "b_x", "c", "picture", "y" * 100]
    assert np.array_equal(shown(tmp_path, "nearest", "b_x")[::4, ::4], pictures["a"])


def test_the_middle_of_a_small_picture_is_all_of_it():
    assert middle(np.zeros((5, 40, 3)), 16).shape == (5, 16, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("@photos",), "give PICTURES and -m MODEL together, or --files alone"),
        (("-m", "bicubic"), "give PICTURES and -m MODEL together"),
        (("--files", "one=@photos", "--shrink"), "--shrink is for PICTURES"),
        (("--files", "one"), "'one': give NAME=FOLDER"),
        (("--files", "one=@photos"), "methods is ['one']: name 2 or more"),
        (("@photos", "-m", "bicubic", "-m", "../x.onnx=no"), "names have up to 100 letters"),
        (("@photos", "-m", "bicubic", "-m", "bicubic"), "it is named twice"),
        (("@photos", "-m", "bicubic", "-m", "nearest", "--anchor", "x=1"), "it is no method"),
        (("@photos", "-m", "bicubic", "-m", "nearest", "--training", "3"), "leave none to rate"),
        (
            ("@photos", "@_a.png", "-m", "bicubic", "-m", "nearest"),
            "would both be called a; rename",
        ),
        (("@photos", "-m", "bicubic", "--files", "two=@other"), "has no picture that is called b"),
        (("@photos", "-m", "bicubic", "--files", "small=@small"), "must show it in one size"),
        (("@photos", "-m", "edsr_lite_x2", "-m", "rrdb_lite_x4"), "enlarge by different scales"),
        (("@photos", "-m", "bicubic", "-m", "nearest", "--kind", "dcr"), "kind 'dcr' shows it"),
    ],
)
def test_wrong_use_is_named_and_nothing_is_made(tmp_path, pictures, capfd, arguments, message):
    write_image(tmp_path / "_a.png", Photo(pictures["a"]))
    write_image(tmp_path / "b.png", Photo(pictures["b"]))
    write_image(tmp_path / "c.png", Photo(pictures["c"][:3]))
    large = Photo(pictures["a"].repeat(4, 0).repeat(4, 1))
    for folder, names in (("other", "a"), ("small", "abc")):
        (tmp_path / folder).mkdir()
        for name in names:
            write_image(tmp_path / folder / f"{name}.png", large)
    write_image(tmp_path / "small" / "a.png", Photo(pictures["a"]))
    words = [str(one).replace("@", f"{tmp_path}/") for one in arguments]
    with pytest.raises(SystemExit) as status:
        main(["study", "new", str(tmp_path / "study"), *words])
    assert status.value.code == 2 and message in capfd.readouterr().err
    assert not (tmp_path / "study").exists() and not list(tmp_path.glob(".gluon*"))


def test_a_full_disk_is_said_of_the_study_and_nothing_stays(tmp_path, pictures, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    result = run(tmp_path, "new", "@study", "@photos", "-m", "bicubic", "-m", "nearest")
    file = tmp_path / "study" / "pictures" / "bicubic" / "a.png"
    assert f"{file} cannot be written (No space left on device)" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_folder_that_is_there_is_not_touched(tmp_path, pictures):
    arguments = ("new", "@photos", "--files", "one=@photos", "--files", "two=@photos")
    result = run(tmp_path, *arguments)
    assert "is there already" in str(result.exception)
    assert sorted(path.name for path in (tmp_path / "photos").iterdir()) == [
        "a.png",
        "b.png",
        "c.png",
    ]


@pytest.fixture
def rated(tmp_path):
    """A study that two people have rated, one of them in part."""
    study, _ = small_study(tmp_path / "study", repeats=1)
    with closing(Database(file_url(tmp_path / "study"), study)) as store:
        for place, count in ((0, 10), (1, 6)):
            store.join()
            for index, item in enumerate(study.sequence(place)[:count]):
                store.rate(place, index, item, 5 if item.shown == ("original",) else 2 + place)


def test_results_are_printed_and_written(tmp_path, rated):
    files = ("--csv", "@out.csv", "--ratings", "@ratings.csv", "--plot", "@plot.svg")
    result = run(tmp_path, "results", "@study", *files)
    assert result.exit_code == 0, result.output
    assert "2 joined, 2 rated, 1 finished; alpha" in result.output
    (line,) = (one for one in result.output.splitlines() if one.startswith("original"))
    assert line.split()[:4] == ["original", "5.00", "5.00", "5.00"]
    with open(tmp_path / "ratings.csv", encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 16
    assert (tmp_path / "out.csv").read_text().startswith("picture,method,mos,mos_low")
    assert "<svg" in (tmp_path / "plot.svg").read_text()


def plot_of_one_rater(tmp_path, **options):
    """Return the plot, as SVG, of a study that one person has rated with nothing but 2."""
    study, _ = small_study(tmp_path / "study", **options)
    with closing(Database(file_url(tmp_path / "study"), study)) as store:
        store.join()
        for index, item in enumerate(study.sequence(0)):
            store.rate(0, index, item, 2)
    result = run(tmp_path, "results", "@study", "--plot", "@plot.svg")
    assert result.exit_code == 0, result.output
    return (tmp_path / "plot.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "label"), [("acr", "MOS"), ("dcr", "DMOS"), ("pairs", "Bradley-Terry score")]
)
def test_a_plot_says_what_it_draws(tmp_path, kind, label):
    assert f"<!-- {label}, 95% intervals -->" in plot_of_one_rater(tmp_path, kind=kind)


def test_dollars_in_a_title_are_drawn_as_they_are(tmp_path):
    assert r"<!-- $\frac$ x -->" in plot_of_one_rater(tmp_path, title=r"$\frac$ x")


def test_results_as_json_have_raters_and_pictures(tmp_path, rated):
    report = json.loads(run(tmp_path, "results", "@study", "--json").stdout)
    assert [row["rater"] for row in report["raters"]] == [1, 2]
    assert len(report["pictures"]) == 6 and report["methods"][2]["mos"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("results", "@none"), "`gluon-enhance study new` makes one"),
        (("results", "@study", "--plot", "@x.pdf"), "has none of the endings .png, .svg"),
        (("results", "@study", "--csv", "@x.csv", "--ratings", "@x.csv"), "name one file twice"),
        (("results", "@study", "--database", "mysql://a/b"), "known are sqlite, postgresql"),
        (("serve", "@study", "--host", "0.0.0.0"), "give --token too"),
        (("serve", "@study", "--token", "short"), "--token has 5 characters"),
        (("serve", "@none"), "`gluon-enhance study new` makes one"),
    ],
)
def test_wrong_use_of_a_study_is_named(tmp_path, rated, capfd, arguments, message):
    words = [str(one).replace("@", f"{tmp_path}/") for one in arguments]
    with pytest.raises(SystemExit) as status:
        main(["study", *words])
    assert status.value.code == 2 and message in capfd.readouterr().err


def test_a_study_that_lacks_a_picture_is_not_served(tmp_path, rated):
    (tmp_path / "study/pictures/nearest/meadow.png").unlink()
    result = run(tmp_path, "serve", "@study")
    assert "meadow.png is missing" in str(result.exception)


def test_serve_prints_a_link_serves_and_ends_by_a_signal(tmp_path):
    small_study(tmp_path / "study")
    command = [sys.executable, "-m", "gluon_enhance", "study", "serve", str(tmp_path / "study")]
    token = "a secret of many"
    environment = {**os.environ, "GLUON_ENHANCE_TOKEN": token}
    server = subprocess.Popen(
        [*command, "--port", "0"], stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        line = server.stderr.readline()
        assert line.startswith("Sharp or not: http://localhost:") and "?token=a%20secret" in line
        place = line.split("?")[0].split(": ", 1)[1]
        request = urllib.request.Request(f"{place}api/study")
        request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)["total"] == 9
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 128 + signal.SIGTERM
        server.stderr.close()
