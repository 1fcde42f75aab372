"""``gluon-enhance compare``: sheets and pages, the page in a real browser where there is one."""

import base64
import re
from html import unescape

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from gluon_enhance.commands import cli
from gluon_enhance.imaging.metrics import psnr
from gluon_enhance.imaging.pictures import CELL, GAP, HEADING_HEIGHT, comparison_sheet
from gluon_enhance.imaging.resize import resize_rounding_once
from gluon_enhance.photos import Photo, read_image, write_image


@pytest.fixture
def pictures(tmp_path, rng):
    """A truth of 40x32 pixels, one that differs in one corner, and the truth at half its size."""
    truth = rng.integers(0, 256, (32, 40, 3), np.uint8)
    marred = truth.copy()
    marred[20:, 30:] = 255 - marred[20:, 30:]
    half = np.ascontiguousarray(truth[::2, ::2])
    made = {"truth.png": truth, "marred.png": marred, "half.png": half}
    for name, image in made.items():
        write_image(tmp_path / name, Photo(image))
    return made


def run(folder, *arguments):
    names = [str(folder / one) if "." in str(one) else str(one) for one in arguments]
    return CliRunner().invoke(cli, ["compare", *names])


def images_of(page):
    found = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)">', page)
    return {
        unescape(name): cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 1)[..., ::-1]
        for data, name in found
    }


def test_a_page_holds_the_pixels_of_all_pictures(tmp_path, pictures):
    result = run(tmp_path, "marred.png", "half.png", "--reference", "truth.png", "-o", "out.html")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    shown = images_of(page)
    expected = {
        "marred.png": pictures["marred.png"],
        "half.png (20x16, bicubic)": resize_rounding_once(pictures["half.png"], 2),
        "reference: truth.png": pictures["truth.png"],
    }
    assert list(shown) == list(expected)
    assert all(np.array_equal(shown[name], image) for name, image in expected.items())
    score = f"{psnr(pictures['marred.png'], pictures['truth.png']):.3f}"
    assert f"<td>{score}</td>" in page and score in result.output


def test_a_page_asks_no_other_host_for_anything(tmp_path, pictures):
    run(tmp_path, "marred.png", "truth.png", "-o", "out.html")
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert re.findall(r"""(?:src|href)=(?!"data:).*|url\(.*|@import|fetch\(|https?:""", page) == []


def test_names_of_files_are_no_markup(tmp_path, pictures):
    (tmp_path / "truth.png").rename(tmp_path / "<b>&'.png")
    assert run(tmp_path, "marred.png", "<b>&'.png", "-o", "out.html").exit_code == 0
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "<b>" not in page and "<b>&'.png" in images_of(page)


def test_what_models_make_of_a_picture_is_compared_with_it(tmp_path, pictures):
    options = ("-m", "edsr_lite_x2", "-m", "nearest", "--engine", "openvino", "--threads", "1")
    result = run(tmp_path, "half.png", *options, "-o", "out.html")
    assert result.exit_code == 0, result.output
    shown = images_of((tmp_path / "out.html").read_text(encoding="utf-8"))
    assert list(shown) == ["half.png (20x16, bicubic)", "edsr_lite_x2", "nearest"]
    assert np.array_equal(shown["nearest"], pictures["half.png"].repeat(2, 0).repeat(2, 1))


def test_a_sheet_magnifies_where_pictures_differ_most(rng):
    first = rng.integers(0, 256, (200, 384, 3), np.uint8)
    second = first.copy()
    second[100:150, 200:260] ^= 64
    sheet = comparison_sheet({"first": first, "second": second}, count=2)
    assert sheet.shape == (HEADING_HEIGHT + 200 + CELL + 2 * GAP, 2 * (CELL + GAP), 3)
    # Of all squares of 96 pixels, the first that holds the whole patch.
    part = second[150 - 96 : 150, 260 - 96 : 260].repeat(4, 0).repeat(4, 1)
    top = HEADING_HEIGHT + 200 + GAP
    assert np.array_equal(sheet[top : top + CELL, -CELL:], part)
    whole = sheet[HEADING_HEIGHT : HEADING_HEIGHT + 200, -CELL:]
    framed = (whole != second).any(2)
    assert framed[54, 164:260].all() and not framed[:50].any() and not framed[:, :160].any()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_sheet_is_written_by_its_ending(tmp_path, pictures, suffix):
    assert run(tmp_path, "marred.png", "truth.png", "-o", f"out{suffix}").exit_code == 0
    assert read_image(tmp_path / f"out{suffix}").pixels.shape[1] == 2 * (CELL + GAP)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("truth.png", "marred.png", "--csv", "out.csv", "-o", "out.html"), "--csv is of scores"),
        (
            ("truth.png", "marred.png", "--metrics", "lpips", "-o", "out.html"),
            "--metrics is of scores, which need the truth: give --reference FILE",
        ),
        (("truth.png", "-o", "out.html"), "1 picture cannot be compared; give 2 to 6"),
        (("truth.png", "marred.png", "-m", "bicubic", "-o", "out.html"), "give one picture, not 2"),
        (("truth.png", "truth.png", "-o", "out.html"), "a picture is named twice"),
        (("half.png", *["-m", "bicubic"] * 2, "-o", "out.html"), "a model is named twice"),
        (("truth.png", "marred.png", "-o", "none/x.html"), "in a folder that is not there"),
        (("truth.png", "marred.png", "-o", "out.pdf"), "'out.pdf' has none of the endings .html"),
        (("truth.png", "third.png", "-o", "out.html"), "third.png has 13x11 pixels"),
    ],
)
def test_wrong_use_is_named_and_nothing_is_written(tmp_path, pictures, arguments, message):
    write_image(tmp_path / "third.png", Photo(np.zeros((11, 13, 3), np.uint8)))
    result = run(tmp_path, *arguments)
    assert result.exit_code == 2 and message in result.output
    assert not list(tmp_path.glob("out*"))


def test_a_page_zooms_moves_slides_and_shows_differences(tmp_path, pictures, browser):
    from selenium.webdriver import ActionChains

    assert run(tmp_path, "truth.png", "marred.png", "-o", "out.html").exit_code == 0
    browser.get((tmp_path / "out.html").as_uri())

    def find(selector):
        return browser.find_element("css selector", selector)

    def styles(name):
        script = (
            "return [...document.querySelectorAll('.frame')].filter((one) => one.offsetParent)"
            ".map((one) => one.style.getPropertyValue(arguments[0]))"
        )
        return browser.execute_script(script, name)

    browser.execute_async_script(  # until the pictures are decoded
        "const done = arguments[0];"
        "(function look() { document.querySelector('.line') ? done() : setTimeout(look, 20); })();"
    )
    before = styles("--scale")
    find("[data-zoom=one]").click()
    assert styles("--scale") == ["1", "1"] != before
    find(".view").send_keys("++")
    assert styles("--scale") == ["2.25", "2.25"]
    left = styles("--x")
    find(".view").send_keys("\ue014")  # the right arrow
    moved = styles("--x")
    assert moved[0] == moved[1] and float(moved[0][:-2]) < float(left[0][:-2])
    assert find("output").text == "225%"

    find("[value=slider]").click()
    cut = float(styles("--cut")[0][:-2])
    find(".line").send_keys("\ue014" * 10)
    assert float(styles("--cut")[0][:-2]) > cut
    place = find(".line").get_property("value")
    ActionChains(browser).drag_and_drop_by_offset(find(".cut"), -60, 0).perform()
    assert float(find(".line").get_property("value")) < float(place)

    find("[value=difference]").click()
    find("[data-zoom=fit]").click()
    shot = cv2.imdecode(np.frombuffer(find(".pair .frame").screenshot_as_png, np.uint8), 1)
    height, width = shot.shape[:2]
    assert shot[2 : height // 2, 2:-2].max() == 0  # there the two are equal
    assert shot[height * 3 // 4 :, width * 4 // 5 :].mean() > 60
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
