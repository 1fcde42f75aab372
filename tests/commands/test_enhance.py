"""``gluon-enhance enhance``, checked by pixels, metadata and exit status."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
from PIL import Image

import gluon_enhance as ge
from gluon_enhance.photos import Photo, read_image, write_image

COMMAND = [sys.executable, "-m", "gluon_enhance"]


def run(*arguments, **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, **options
    )


def loaded(path):
    with Image.open(path) as image:
        image.load()
    return image


@pytest.fixture
def photo(tmp_path, picture):
    write_image(tmp_path / "photo.png", Photo(picture[:20, :16]))
    return tmp_path / "photo.png"


@pytest.fixture(scope="module")
def enhancer():
    return ge.Enhancer()


def test_result_lies_beside_the_input_and_equals_the_function(photo, enhancer):
    result = run("enhance", photo)
    assert result.returncode == 0, result.stderr
    target = photo.with_name("photo_x4.png")
    assert np.array_equal(read_image(target).pixels, enhancer(read_image(photo).pixels))


def test_output_may_be_a_file_or_a_folder(photo, tmp_path):
    assert run("enhance", photo, "-o", tmp_path / "big.jpg").returncode == 0
    assert loaded(tmp_path / "big.jpg").size == (64, 80)
    assert run("enhance", photo, "-o", tmp_path / "folder" / "deep").returncode == 0
    assert (tmp_path / "folder" / "deep" / "photo_x4.png").is_file()


def test_profile_and_exif_come_out_and_orientation_is_applied(tmp_path, picture):
    image = Image.fromarray(picture[:12, :20])
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"  # orientation: a quarter turn; maker
    image.save(tmp_path / "turned.jpg", exif=exif, icc_profile=b"a profile of this camera" * 8)
    assert run("enhance", tmp_path / "turned.jpg").returncode == 0
    result = loaded(tmp_path / "turned_x4.jpg")
    assert result.size == (48, 80)
    assert result.getexif()[0x010F] == "A camera"
    assert result.getexif().get(0x0112, 1) == 1
    assert result.info["icc_profile"] == b"a profile of this camera" * 8


@pytest.mark.parametrize("outscale, size", [("2", (32, 40)), ("1.5", (24, 30)), ("6", (96, 120))])
def test_outscale_sets_the_size(photo, tmp_path, outscale, size):
    target = tmp_path / "out.png"
    assert run("enhance", photo, "-o", target, "--outscale", outscale).returncode == 0
    assert loaded(target).size == size


def test_folders_keep_their_structure_and_bad_files_do_not_stop_the_rest(tmp_path, photo):
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    for path in (source / "a.png", source / "sub" / "b.png"):
        path.write_bytes(photo.read_bytes())
    (source / "bad.jpg").write_bytes(b"no image")
    result = run(
        "enhance", source, "-o", tmp_path / "out", "--recursive", "--json", "--suffix", "_big"
    )
    assert result.returncode == 1
    assert "bad.jpg" in result.stderr and "Traceback" not in result.stderr
    names = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png")}
    assert names == {"a_big.png", os.path.join("sub", "b_big.png")}
    status = {os.path.basename(f["input"]): f["status"] for f in json.loads(result.stdout)["files"]}
    assert status == {"a.png": "done", "b.png": "done", "bad.jpg": "failed"}


def test_quoted_glob_is_expanded(tmp_path, photo):
    assert run("enhance", tmp_path / "pho*.png", "--ext", "webp").returncode == 0
    assert (tmp_path / "photo_x4.webp").is_file()


def test_skip_existing_leaves_files_alone(photo):
    target = photo.with_name("photo_x4.png")
    target.write_bytes(b"the user's")
    result = run("enhance", photo, "--skip-existing", "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout)["files"][0]["status"] == "skipped"
    assert target.read_bytes() == b"the user's"


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (["-m", "rrdb_light_x4"], 2, "rrdb_lite_x4"),
        (["--engine", "tensorrt"], 2, "openvino, onnxruntime, mxnet"),
        (["--precision", "fp8"], 2, "auto, fp32, tf32, bf16"),
        (["--tile", "0"], 2, "tile is '0'"),
        (["--ext", "gif"], 2, "'gif'"),
        (["--suffix", ""], 2, "is an input"),
        (["--denoise", "0.5"], 2, "denoise is for realesr_general_x4"),
        (["--strength", "0.5"], 2, "realesrgan_lite_x4 enlarges by 4"),
        (["-m", "bicubic", "--strength", "0.5"], 2, "strength is 0.5, but bicubic is no net"),
        (["-m", "bicubic", "--denoise", "0.5"], 2, "denoise is 0.5, but bicubic is no net"),
        (["-m", "esrgan_x4"], 2, "GLUON_ENHANCE_WEIGHTS"),
    ],
)
def test_wrong_use_is_one_line_that_says_what_to_do(photo, arguments, status, message):
    before = photo.read_bytes()
    result = run("enhance", photo, *arguments)
    assert result.returncode == status
    errors = [line for line in result.stderr.splitlines() if "error" in line]
    assert len(errors) == 1 and message in errors[0]
    assert "Traceback" not in result.stderr and result.stdout == ""
    assert photo.read_bytes() == before and list(photo.parent.glob("*.*")) == [photo]


def test_missing_input_and_empty_folder_are_named(tmp_path):
    result = run("enhance", tmp_path / "absent.png")
    assert result.returncode == 2 and "absent.png" in result.stderr
    result = run("enhance", tmp_path)
    assert result.returncode == 2 and str(tmp_path) in result.stderr


def test_two_inputs_never_share_an_output(tmp_path, photo):
    loaded(photo).save(tmp_path / "photo.jpg")
    result = run("enhance", photo, tmp_path / "photo.jpg", "--ext", "png")
    assert result.returncode == 1 and "output of another" in result.stderr


def test_killed_batch_leaves_no_half_file_and_skip_existing_finishes_it(tmp_path, rng):
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for index in range(6):
        pixels = rng.integers(0, 256, (150, 150, 3), dtype=np.uint8)
        write_image(source / f"{index}.png", Photo(pixels))
    command = [*COMMAND, "enhance", str(source), "-o", str(target), "--skip-existing"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not list(target.glob("*.png")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for path in target.glob("*.png"):
        assert read_image(path).pixels.shape == (600, 600, 3)
    assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
    assert len(list(target.glob("*.png"))) == 6
    assert all(read_image(path).pixels.shape == (600, 600, 3) for path in target.glob("*.png"))


def on_terminal(*arguments):
    """Run with standard error on a terminal of 60 columns; return what is shown there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    process = subprocess.Popen([*COMMAND, *map(str, arguments)], stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux: the other end is closed
        while data := os.read(ours, 4096):
            shown += data
    os.close(ours)
    assert process.wait() == 0
    return shown.decode()


@pytest.mark.parametrize(
    "name", ["short", "a name that is longer than the terminal " * 4, "日本" * 30]
)
def test_bar_is_seen_on_terminals_however_long_the_name_is(photo, name):
    path = photo.rename(photo.with_name(f"{name}.png"))
    shown = on_terminal("enhance", path)
    assert "tile/s" in shown and name[:4] in shown


def test_elsewhere_there_is_no_bar_but_a_line_of_what_was_written(photo):
    result = run("enhance", photo)
    target = photo.with_name("photo_x4.png")
    assert result.stdout == "" and result.stderr == f"wrote {target}, 64 x 80 pixels\n"


def test_cut_jpeg_comes_out_with_a_warning_and_strict_refuses_it(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.jpg", quality=95)
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[:-2])
    result = run("enhance", tmp_path / "a.jpg")
    assert result.returncode == 0
    assert result.stderr.count(f"{tmp_path / 'a.jpg'} is cut short") == 1
    assert loaded(tmp_path / "a_x4.jpg").size == (4 * picture.shape[1], 4 * picture.shape[0])
    (tmp_path / "a_x4.jpg").unlink()
    result = run("enhance", tmp_path / "a.jpg", "--strict")
    assert result.returncode == 2 and "is cut short; get the file again" in result.stderr
    assert not (tmp_path / "a_x4.jpg").exists()


def test_model_and_version_are_recorded_unless_asked_not_to(tmp_path, picture):
    write_image(tmp_path / "a.jpg", Photo(picture[:12, :8]))
    software = f"gluon-enhance {ge.__version__} (srcnn_x4)"
    assert run("enhance", tmp_path / "a.jpg", "-m", "srcnn_x4").returncode == 0
    result = loaded(tmp_path / "a_x4.jpg")
    assert result.getexif()[0x0131] == software
    assert f'softwareAgent="{software}"'.encode() in read_image(tmp_path / "a_x4.jpg").xmp
    options = ("--no-record", "--suffix", "_plain")
    assert run("enhance", tmp_path / "a.jpg", "-m", "srcnn_x4", *options).returncode == 0
    assert 0x0131 not in loaded(tmp_path / "a_plain.jpg").getexif()
    assert read_image(tmp_path / "a_plain.jpg").xmp is None


def test_shipped_model_is_run_without_mxnet(photo):
    code = (
        "import sys; sys.modules['mxnet'] = None; from gluon_enhance.commands import main; "
        f"main(['enhance', {str(photo)!r}])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
