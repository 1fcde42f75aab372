"""Real-ESRGAN's numbers and sharpened truths, from the command line of a script."""

import json

import pytest

OPTIONS = ("--iterations", 1, "--reductions", "1.0")


def test_a_script_trains_with_a_file_of_numbers_and_sharpened_truths(train, tmp_path):
    (tmp_path / "numbers.yml").write_text("noise_range: [1, 5]\njpeg_range: [70, 95]\n")
    degrade = ("--degrade", "realesrgan", "--degrade-options", tmp_path / "numbers.yml")
    train("srcnn", tmp_path / "run", *OPTIONS, *degrade, "--sharpen-truth")
    assert (tmp_path / "run" / "srcnn_x4.params").is_file()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["sharpen_truth"] is True


def test_numbers_where_no_input_is_made_are_refused(train, tmp_path):
    (tmp_path / "numbers.yml").write_text("noise_range: [1, 5]\n")
    numbers = ("--degrade-options", tmp_path / "numbers.yml")
    with pytest.raises((SystemExit, ValueError), match="'bicubic', which has no numbers"):
        train("srcnn", tmp_path / "run", *OPTIONS, *numbers)
