"""``gluon-enhance enhance --match-colors``, checked by pixels."""

import json
import subprocess
import sys

import numpy as np
import pytest

import gluon_enhance as ge
from gluon_enhance.commands import main
from gluon_enhance.commands.pipeline import with_colors_of
from gluon_enhance.photos import Photo, read_image, write_image


def run(*arguments):
    command = [sys.executable, "-m", "gluon_enhance", "enhance", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def folder(tmp_path, picture):
    """Photos in every layout of channels; transparency in the lower half."""
    color = picture[:20, :16]
    alpha = np.full((20, 16, 1), 255, np.uint8)
    alpha[10:] = 70
    photos = {
        "gray": color[..., 0],
        "gray_alpha": np.dstack([color[..., :1], alpha]),
        "rgb": color,
        "rgb_alpha": np.dstack([color, alpha]),
        "deep": color * np.uint16(257),
    }
    (tmp_path / "in").mkdir()
    for name, pixels in photos.items():
        write_image(tmp_path / "in" / f"{name}.png", Photo(pixels))
    return tmp_path / "in"


def test_colors_of_a_result_are_matched_to_its_own_input_and_alpha_is_left_alone(folder, tmp_path):
    result = run(folder, "--match-colors", "-o", tmp_path / "out", "--suffix", "")
    assert result.returncode == 0, result.stderr
    enhancer = ge.Enhancer()
    for path in sorted(folder.iterdir()):
        pixels, matched = read_image(path).pixels, read_image(tmp_path / "out" / path.name).pixels
        plain = enhancer(pixels)
        assert matched.dtype == plain.dtype and matched.shape == plain.shape
        if "alpha" in path.name:
            assert (matched[..., -1] == plain[..., -1]).all()
            matched, plain, pixels = matched[..., :-1], plain[..., :-1], pixels[..., :-1]
        assert (matched == ge.match_histograms(plain, pixels)).all()
        assert (matched != plain).any()


def test_what_outscale_resized_is_matched_too(folder, tmp_path):
    targets = tmp_path / "plain.png", tmp_path / "matched.png"
    source = folder / "rgb.png"
    assert run(source, "-o", targets[0], "--outscale", "1.5").returncode == 0
    assert run(source, "-o", targets[1], "--outscale", "1.5", "--match-colors").returncode == 0
    plain, matched = (read_image(path).pixels for path in targets)
    assert (matched == ge.match_histograms(plain, read_image(source).pixels)).all()


def test_colors_under_transparency_do_not_count(picture):
    cut_out = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    cut_out[:, :20, 3] = 0
    dark, bright = cut_out.copy(), cut_out.copy()
    dark[:, :20, :3], bright[:, :20, :3] = 0, 255
    result = np.repeat(np.repeat(cut_out, 2, 0), 2, 1)
    result[..., :3] = result[..., :3] // 2 + 40
    results = [with_colors_of(pixels, result) for pixels in (dark, bright)]
    assert (results[0] == results[1]).all()
    seen = ge.match_histograms(result[:, 40:, :3], picture[:, 20:])
    assert (results[0][:, 40:, :3] == seen).all()


def test_evaluate_scores_results_with_the_colors_of_their_inputs(tmp_path, picture, capsys):
    (tmp_path / "hr").mkdir()
    write_image(tmp_path / "hr" / "a.png", Photo(picture[:32, :32]))
    arguments = ["evaluate", "-m", "srcnn_x4", "--hr", str(tmp_path / "hr"), "--json"]
    with pytest.raises(SystemExit) as status:
        main([*arguments, "--match-colors"])
    assert status.value.code == 0
    report = json.loads(capsys.readouterr().out)
    assert report["protocol"].startswith("colors matched to the inputs'; 4 pixels cropped")
    low = ge.resize(picture[:32, :32], 1 / 4)
    matched = ge.match_histograms(ge.Enhancer("srcnn_x4")(low), low)
    expected = ge.metrics.psnr(matched, picture[:32, :32], crop_border=4, y_channel=True)
    assert report["mean"]["psnr_y"] == pytest.approx(expected, abs=1e-4)
