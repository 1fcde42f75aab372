"""Results of earlier runs are no inputs; what is left out is counted, with the reason."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from gluon_enhance.commands.inputs import Results
from gluon_enhance.commands.jobs import plan_jobs


def picture(path, width=8, height=6):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def statuses(result):
    return {os.path.basename(f["input"]): f["status"] for f in json.loads(result.stdout)["files"]}


@pytest.fixture
def folder(tmp_path):
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "b.jpg")
    picture(tmp_path / "in" / "sub" / "c.png")
    return tmp_path / "in"


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--skip-existing"],
        ["--ext", "webp"],
        ["--suffix", "_big"],
        ["--suffix", "", "--ext", "tif"],
        ["--outscale", "1.5"],
        ["-m", "same_size"],
        ["-m", "same_size", "--suffix", "_better"],
        ["-o", "out"],
        ["-o", "out", "--suffix", ""],
    ],
    ids=" ".join,
)
def test_second_run_on_a_folder_finds_everything_done(folder, enhance_with_repeats, options):
    options = [str(folder / text) if text == "out" else text for text in options]
    first = enhance_with_repeats(folder, "--recursive", "--json", *options)
    assert first.exit_code == 0, first.output
    assert set(statuses(first).values()) == {"done"}
    made = files(folder)
    assert len(made) == 6
    second = enhance_with_repeats(folder, "--recursive", "--json", *options)
    assert second.exit_code == 0, second.output
    assert statuses(second) == dict.fromkeys(("a.png", "b.jpg", "c.png"), "skipped")
    assert files(folder) == made
    assert len(json.loads(second.stdout)["left_out"]["results"]) == 3
    assert "3 results of earlier runs" in second.stderr


def test_results_of_other_options_are_no_inputs_either(folder, enhance_with_repeats):
    originals = files(folder)
    for options in (["--ext", "tif"], ["--outscale", "2"], ["-o", folder / "out"]):
        result = enhance_with_repeats(folder, "--recursive", "--json", *options)
        assert result.exit_code == 0, result.output
        assert set(statuses(result)) == {os.path.basename(name) for name in originals}
    assert len(files(folder)) == 4 * len(originals)


def test_files_that_a_shell_has_listed_are_told_apart_too(folder, enhance_with_repeats):
    assert enhance_with_repeats(folder / "a.png").exit_code == 0
    result = enhance_with_repeats(*sorted(folder.glob("*.png")), "--json")
    assert result.exit_code == 0 and statuses(result) == {"a.png": "skipped"}
    result = enhance_with_repeats(folder / "*.png", "--json")  # a quoted glob
    assert result.exit_code == 0 and statuses(result) == {"a.png": "skipped"}


def test_a_file_that_is_named_is_done_again_and_a_result_that_is_named_is_enlarged(
    folder, enhance_with_repeats
):
    enhance_with_repeats(folder / "a.png")
    assert statuses(enhance_with_repeats(folder / "a.png", "--json")) == {"a.png": "done"}
    result = enhance_with_repeats(folder / "a_x4.png")
    assert result.exit_code == 0
    with Image.open(folder / "a_x4_x4.png") as image:
        assert image.size == (8 * 16, 6 * 16)


def test_own_file_that_merely_ends_in_x4_is_an_input(folder, enhance_with_repeats):
    picture(folder / "lens_x4.png")  # without an original
    picture(folder / "b_x4.png", 30, 20)  # not four times as large as b.jpg
    picture(folder / "sub" / "a_x4.png", 30, 20)
    result = enhance_with_repeats(folder, "--recursive", "--json")
    assert result.exit_code == 0, result.output
    assert set(statuses(result).values()) == {"done"} and len(statuses(result)) == 6


def test_own_file_at_the_place_of_a_result_is_never_overwritten(folder, enhance_with_repeats):
    own = picture(folder / "a_x4.png", 30, 20)
    before = own.read_bytes()
    result = enhance_with_repeats(folder, "--json")
    assert result.exit_code == 1
    assert statuses(result) == {"a.png": "failed", "b.jpg": "done", "a_x4.png": "done"}
    assert own.read_bytes() == before


def test_photos_of_one_size_are_no_results_of_each_other(folder, enhance_with_repeats):
    picture(folder / "a_2.png")
    result = enhance_with_repeats(folder, "--suffix", "_2", "--json")
    assert statuses(result)["a_2.png"] == "done" and statuses(result)["a.png"] == "failed"


def test_photo_that_is_turned_upright_has_a_turned_result(tmp_path, enhance_with_repeats):
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=tags)
    enhance_with_repeats(tmp_path)
    with Image.open(tmp_path / "a_x4.jpg") as image:
        assert image.size == (24, 32)
    assert statuses(enhance_with_repeats(tmp_path, "--json")) == {"a.jpg": "skipped"}


def test_input_folder_below_the_output_folder_is_no_output(tmp_path, enhance_with_repeats):
    picture(tmp_path / "photos" / "day1" / "a.png")
    result = enhance_with_repeats(tmp_path / "photos" / "day1", "-o", tmp_path / "photos")
    assert result.exit_code == 0 and (tmp_path / "photos" / "a_x4.png").is_file()


@pytest.mark.parametrize(
    "before, after, scale, is_scaled",
    [
        ((8, 6), (32, 24), 4.0, True),
        ((8, 6), (24, 32), 4.0, True),
        ((8, 6), (32, 27), 4.0, False),
        ((7, 5), (10, 8), 1.5, True),  # 10.5 and 7.5, rounded to even
        ((3, 2), (300, 200), None, True),
        ((3, 2), (300, 300), None, False),
        ((3, 2), (3, 2), None, False),
    ],
)
def test_sizes_tell_an_enlargement(tmp_path, before, after, scale, is_scaled):
    original, result = picture(tmp_path / "a.png", *before), picture(tmp_path / "b.png", *after)
    assert Results("_b", None, 4.0)._has_grown(original, result, scale) == is_scaled


def test_what_is_left_out_is_counted(folder, enhance_with_repeats):
    for name in ("notes.txt", "more.txt", "film.mov", "LICENSE", ".hidden"):
        (folder / name).write_bytes(b"")
    result = enhance_with_repeats(folder, "--json")
    assert result.exit_code == 0
    line = next(line for line in result.stderr.splitlines() if line.startswith("left out: "))
    assert "4 files of other kinds (2 .txt, " in line and "1 .mov" in line
    assert "1 subfolder, which --recursive would enter" in line
    left_out = json.loads(result.stdout)["left_out"]
    assert [os.path.basename(path) for path in left_out["subfolders"]] == ["sub"]
    assert len(left_out["others"]) == 4


def test_pictures_of_every_format_in_a_folder_are_tried(folder, enhance_with_repeats):
    Image.new("RGB", (4, 4)).save(folder / "d.jfif", "JPEG")
    Image.new("RGB", (4, 4)).save(folder / "e.mpo", "JPEG")
    Image.new("P", (4, 4)).save(folder / "f.gif")
    (folder / "g.heic").write_bytes(b"no picture")
    result = enhance_with_repeats(folder, "--json")
    assert statuses(result) == {
        "a.png": "done", "b.jpg": "done", "d.jfif": "done", "e.mpo": "done", "f.gif": "done",
        "g.heic": "failed",
    }  # fmt: skip
    assert {"d_x4.jfif", "e_x4.jpg", "f_x4.png"} <= files(folder)


def test_folder_that_cannot_be_read_is_a_failure(folder, enhance_with_repeats, monkeypatch):
    scandir = os.scandir

    def denied(path):
        if not isinstance(path, int) and os.path.basename(path) == "sub":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    result = enhance_with_repeats(folder, "--recursive", "--json")
    assert result.exit_code == 1
    assert f"{folder / 'sub'} cannot be read (Permission denied); check" in result.stderr
    assert statuses(result) == {"a.png": "done", "b.jpg": "done", "sub": "failed"}


def test_parts_of_an_interrupted_raster_are_no_inputs(folder):
    picture(folder / ".scene_x4.tif.parts" / "0.tif")
    plan = plan_jobs([str(folder)], None, "_x4", None, True, 4)
    assert [job.source.name for job in plan.jobs] == ["a.png", "b.jpg", "c.png"]


def test_folder_without_pictures_says_what_it_holds(tmp_path):
    (tmp_path / "film.mov").write_bytes(b"")
    with pytest.raises(ValueError, match=r"no image in .*; left out: 1 file of other kinds"):
        plan_jobs([str(tmp_path)], None, "_x4", None, True, 4)
