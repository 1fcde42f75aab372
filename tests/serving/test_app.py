"""The API over a real socket, with small nets; results are held against the command's."""

import errno
import io
import json
import logging
import socket
import struct
import threading
import time
import zipfile
import zlib
from contextlib import closing

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from web_server import Client, running

from gluon_enhance.commands import cli
from gluon_enhance.commands.craft import CommandCraft
from gluon_enhance.photos import Photo, read_image, write_image
from gluon_enhance.serving.app import make_app
from gluon_enhance.serving.jobs import Jobs
from gluon_enhance.serving.limits import Limits
from gluon_enhance.serving.zipped import zipped


@pytest.fixture(scope="module")
def craft(tmp_path_factory):
    return CommandCraft(tmp_path_factory.mktemp("nets"), 4 * 10**9, threads=1, engine="openvino")


@pytest.fixture
def start(tmp_path, craft):
    """Return what starts a server with these limits, and gives a client of it."""
    servers = []

    def started(**limits):
        jobs = Jobs(tmp_path / "jobs")
        server = running(make_app(jobs, craft, Limits(**limits)))
        servers.append((server, jobs))
        return Client(server.__enter__())

    yield started
    for server, jobs in servers:
        with closing(jobs):
            server.__exit__(None, None, None)


@pytest.fixture
def ask(start):
    return start()


@pytest.fixture
def gate(craft, monkeypatch):
    """Hold the work until this is set; it can be canceled meanwhile."""
    opened, do = threading.Event(), craft.do

    def held(job, folder, progress):
        while not opened.wait(0.01):
            progress(0, 1)
        return do(job, folder, progress)

    monkeypatch.setattr(craft, "do", held)
    return opened


@pytest.fixture
def png(rng):
    return encoded(rng.integers(0, 256, (16, 20, 3), np.uint8))


def encoded(pixels, suffix=".png"):
    return cv2.imencode(suffix, pixels)[1].tobytes()


def header(width, height):
    """Begin a PNG file of a size."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + crc


def events(answer):
    texts = [text.split("\n", 1) for text in answer.body.decode().split("\n\n") if text]
    return [(kind[7:], json.loads(data[6:])) for kind, data in texts]


def finished(ask, job):
    return events(ask.get(f"/api/jobs/{job['id']}/events"))[-1][1]


def test_a_picture_comes_back_as_the_command_makes_it(ask, tmp_path, rng):
    source, target = tmp_path / "photo.tif", tmp_path / "photo_x4.tif"
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    pixels = rng.integers(0, 65536, (12, 18, 4), np.uint16)
    profile = rng.bytes(200)
    write_image(source, Photo(pixels, profile, exif.tobytes()[6:], dpi=(300, 300)))
    options = ["-m", "srcnn_x4", "--engine", "openvino", "--threads", "1"]
    assert CliRunner().invoke(cli, ["enhance", str(source), *options]).exit_code == 0
    answer = ask.post(
        "/api/enhance", [("model", "srcnn_x4")], [("file", "photo.tif", source.read_bytes())]
    )
    assert answer.status == 200 and answer.headers["Content-Type"] == "image/tiff"
    assert 'filename="photo_x4.tif"' in answer.headers["Content-Disposition"]
    assert answer.body == target.read_bytes()
    result = read_image(target)
    assert result.pixels.dtype == np.uint16 and result.icc_profile == profile
    for _ in range(100):  # who has the picture needs the job no more
        if not ask.get("/api/jobs").json:
            break
        time.sleep(0.05)
    assert ask.get("/api/jobs").json == []


def test_a_job_is_told_from_the_queue_to_its_result(ask, png):
    answer = ask.post("/api/jobs", [("model", "bicubic"), ("ext", "jpg")], [("file", "a.png", png)])
    assert answer.status == 202
    assert answer.headers["Location"] == f"/api/jobs/{answer.json['id']}"
    job = finished(ask, answer.json)
    assert job["status"] == "done" and job["result"]["name"] == "a_x4.jpg"
    assert (job["result"]["width"], job["result"]["height"]) == (80, 64)
    assert ask.get(f"/api/jobs/{job['id']}").json == job
    result = ask.get(f"/api/jobs/{job['id']}/result")
    assert result.body[:2] == b"\xff\xd8"
    assert ask("DELETE", f"/api/jobs/{job['id']}").status == 204
    assert ask.get(f"/api/jobs/{job['id']}").status == 404


def test_clients_see_their_own_jobs_and_get_them_as_one_archive(ask, png):
    assert ask("POST", "/api/session").status == 204 and ask.cookies
    stranger = Client(ask.port)
    assert ask.get("/api/results.zip").status == 404
    for name in ("a.png", "a.png", "b.png"):
        job = ask.post("/api/jobs", [("model", "nearest")], [("file", name, png)]).json
    finished(ask, job)
    assert [job["name"] for job in ask.get("/api/jobs").json] == ["a.png", "a.png", "b.png"]
    assert stranger.get("/api/jobs").json == []
    with zipfile.ZipFile(io.BytesIO(ask.get("/api/results.zip").body)) as archive:
        assert archive.namelist() == ["a_x4.png", "a_x4 (2).png", "b_x4.png"]
        data = np.frombuffer(archive.read("b_x4.png"), np.uint8)
    small = cv2.imdecode(np.frombuffer(png, np.uint8), 1)
    assert np.array_equal(cv2.imdecode(data, 1), small.repeat(4, 0).repeat(4, 1))


@pytest.mark.parametrize("cookie", ["at 10.0.0.9", '"at 10.0.0.9"', '"\\141t 10.0.0.9"', "mine"])
def test_a_cookie_that_the_server_has_not_made_lets_nobody_pass_for_another(ask, png, cookie):
    files, sent = [("file", "a.png", png)], {"Cookie": f"gluon_enhance_client={cookie}"}
    job = ask.post("/api/jobs", [("model", "nearest")], files, **sent).json
    assert [one["id"] for one in ask.get("/api/jobs").json] == [job["id"]]  # by the address
    assert "gluon_enhance_client" in ask("POST", "/api/session", **sent).headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("suffix", "name", "kind"),
    [(".jpg", "a.mpo", "image/jpeg"), (".bmp", "a.bmp", "image/bmp"), (".webp", "x", "image/webp")],
)
def test_pictures_are_sent_as_what_they_are(ask, rng, suffix, name, kind):
    data = encoded(rng.integers(0, 256, (8, 8, 3), np.uint8), suffix)
    job = ask.post("/api/jobs", [("model", "nearest")], [("file", name, data)]).json
    shown = ask.get(f"/api/jobs/{job['id']}/preview/original")
    assert shown.headers["Content-Type"] == kind and shown.body == data


def test_results_that_were_removed_by_hand_are_gone(ask, png, tmp_path):
    job = ask.post("/api/jobs", [("model", "nearest")], [("file", "a.png", png)]).json
    assert finished(ask, job)["status"] == "done"
    for file in (tmp_path / "jobs" / "jobs" / job["id"]).iterdir():
        file.unlink()
    for path in ("result", "preview/original", "preview/result"):
        answer = ask.get(f"/api/jobs/{job['id']}/{path}")
        assert answer.status == 404 and "no more on the server" in answer.json["error"]


def test_what_a_format_does_not_hold_is_noted(ask, tmp_path, rng):
    photo = Photo(rng.integers(0, 256, (8, 8, 3), np.uint8), comment="by hand")
    write_image(tmp_path / "a.jpg", photo)
    fields = [("model", "nearest"), ("ext", "webp")]
    job = ask.post("/api/jobs", fields, [("file", "a.jpg", (tmp_path / "a.jpg").read_bytes())]).json
    (note,) = finished(ask, job)["result"]["notes"]
    assert note == "result.webp lacks some of its source's data, which is left out: comment"


def test_browsers_get_a_preview_of_what_they_cannot_show(ask, tmp_path, rng):
    pixels = rng.integers(0, 65536, (8, 10, 3), np.uint16)
    write_image(tmp_path / "a.tif", Photo(pixels))
    data = (tmp_path / "a.tif").read_bytes()
    job = finished(
        ask, ask.post("/api/jobs", [("model", "nearest")], [("file", "a.tif", data)]).json
    )
    answer = ask.get(f"/api/jobs/{job['id']}/preview/original")
    assert answer.headers["Content-Type"] == "image/png"
    shown = cv2.imdecode(np.frombuffer(answer.body, np.uint8), -1)[..., ::-1]
    assert shown.dtype == np.uint8 and np.abs(shown - pixels / 257).max() <= 0.5
    large = ask.get(f"/api/jobs/{job['id']}/preview/result").body
    assert cv2.imdecode(np.frombuffer(large, np.uint8), -1).shape == (32, 40, 3)
    assert ask.get(f"/api/jobs/{job['id']}/preview/other").status == 404


def test_a_comparison_is_the_page_that_the_command_writes(ask, tmp_path, png, rng):
    truth = encoded(rng.integers(0, 256, (64, 80, 3), np.uint8))
    (tmp_path / "a.png").write_bytes(png)
    (tmp_path / "truth.png").write_bytes(truth)
    options = ["-m", "bicubic", "-m", "srcnn_x4", "--engine", "openvino", "--threads", "1"]
    names = [str(tmp_path / name) for name in ("a.png", "truth.png", "page.html")]
    done = CliRunner().invoke(
        cli, ["compare", names[0], *options, "--reference", names[1], "-o", names[2]]
    )
    assert done.exit_code == 0
    answer = ask.post(
        "/api/comparisons",
        [("model", "bicubic"), ("model", "srcnn_x4")],
        [("reference", "truth.png", truth), ("file", "a.png", png)],
    )
    job = finished(ask, answer.json)
    assert [row["image"] for row in job["result"]["scores"]][1:] == ["bicubic", "srcnn_x4"]
    page = ask.get(f"/api/jobs/{job['id']}/result")
    assert page.body == (tmp_path / "page.html").read_bytes()
    assert ask.get(f"/api/jobs/{job['id']}/preview/original").body == png
    assert ask.get(f"/api/jobs/{job['id']}/preview/result").status == 404
    assert "sandbox allow-scripts" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("fields", "roles", "message"),
    [
        ([], ["file"], "1 picture cannot be compared; give 2 to 6"),
        ([("model", "bicubic")], ["file", "file"], "give one picture, not 2"),
        ([("model", "bicubic")], ["file", "reference", "reference"], "several references"),
        ([("model", "/etc/passwd")], ["file"], "choose one of /api/models"),
        ([("model", "bicubic"), ("metrics", "niqe")], ["file"], "niqe_pris_params.npz"),
        ([("model", "bicubic"), ("metrics", "x")], ["file"], "'x' is no metric"),
        ([("model", "bicubic"), ("niqe", "/etc/passwd")], ["file"], "'niqe' is no option"),
    ],
)
def test_comparisons_that_make_no_sense_are_named(ask, png, fields, roles, message):
    answer = ask.post("/api/comparisons", fields, [(role, "a.png", png) for role in roles])
    assert answer.status == 422 and message in answer.json["error"]


def test_models_come_with_what_their_cards_say(ask):
    models = {row["name"]: row for row in ask.get("/api/models").json}
    row = models["rrdb_lite_x4"]
    assert row["license"] == "Apache-2.0" and row["training"]["iterations"] == 13752
    assert row["pictures"] == ["sample", "curves"]
    for picture in row["pictures"]:
        answer = ask.get(f"/api/models/rrdb_lite_x4/{picture}.png")
        assert answer.body.startswith(b"\x89PNG")
    for path in ("rrdb_lite_x4/card.png", "none/sample.png", "..%2frrdb_lite_x4/sample.png"):
        assert ask.get(f"/api/models/{path}").status == 404


@pytest.mark.parametrize(
    ("fields", "files", "status", "message"),
    [
        ([("model", "/etc/passwd")], 1, 422, "model is '/etc/passwd'; choose one of /api/models"),
        ([("model", "rrdb_lite_x4=x")], 1, 422, "choose one of /api/models"),
        ([("model", "bicubic"), ("model", "bicubic")], 1, 422, "model is given 2 times"),
        ([("output", "/tmp/x")], 1, 422, "'output' is no option; choose from model"),
        ([("inputs", "/etc/passwd")], 1, 422, "'inputs' is no option"),
        ([("outscale", "-1")], 1, 422, "-1.0 is not in the range x>0"),
        ([("quality", "101")], 1, 422, "101 is not in the range 1<=x<=100"),
        ([("quality", "50"), ("lossless", "true")], 1, 422, "exclude each other"),
        ([("strict", "perhaps")], 1, 422, "strict is 'perhaps'; give true or false"),
        ([("denoise", "0.5")], 1, 422, "denoise is for realesr_general_x4"),
        ([("strength", "0.5")], 1, 422, "strength is for models of scale 1"),
        ([("model", "bicubic"), ("strength", "0.5")], 1, 422, "strength is for models of scale 1"),
        ([("strength", "2")], 1, 422, "2.0 is not in the range 0<=x<=1"),
        ([("alpha", "2")], 1, 422, "alpha is '2'; give a number from 0 to 1"),
        ([("ext", "exe")], 1, 422, "--ext is 'exe'; choose png"),
        ([("model", "bicubic")], 0, 422, "there is no file"),
        ([], 2, 422, "there are 2 files"),
        ([("outscale", "5000")], 1, 413, "send a smaller picture"),
    ],
)
def test_wrong_use_is_named(ask, png, fields, files, status, message):
    answer = ask.post("/api/jobs", fields, [("file", "a.png", png)] * files)
    assert answer.status == status and message in answer.json["error"]
    assert ask.get("/api/jobs").json == []


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"hello", 415, "x.png is no PNG, JPEG"),
        (b"", 415, "x.png is no PNG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), 415, "x.png has a damaged header"),
        (header(30000, 30000), 413, "x.png is 30000x30000"),
    ],
)
def test_what_is_no_picture_or_claims_too_much_is_refused(ask, data, status, message):
    answer = ask.post("/api/jobs", [], [("file", "x.png", data)])
    assert answer.status == status and message in answer.json["error"]


@pytest.mark.parametrize("body", [b"", b"--x", b"--y\r\n\r\n", b"--x\r\nname\r\n\r\n--x--"])
def test_a_damaged_form_is_refused(ask, body):
    answer = ask("POST", "/api/jobs", body, Content_Type="multipart/form-data; boundary=x")
    assert answer.status in (400, 422) and answer.json["error"]
    answer = ask("POST", "/api/jobs", body, Content_Type="multipart/form-data")
    assert answer.status in (400, 422) and answer.json["error"]


@pytest.mark.parametrize("charset", ["undefined", "punycode", "idna", '"latin-1"', "utf-8-sig", ""])
def test_a_form_that_is_not_in_utf_8_is_refused_before_it_is_read(ask, charset):
    """Some of Python's codecs take quadratic time, in which nobody else would be answered."""
    kind = f"multipart/form-data; boundary=x; Charset={charset}"
    answer = ask("POST", "/api/jobs", b"--x", Content_Type=kind)
    assert answer.status == 415 and "forms are taken in UTF-8 only" in answer.json["error"]


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8; more=1", '"utf-8"'])
def test_a_form_may_say_that_it_is_in_utf_8(ask, charset):
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    kind = f"multipart/form-data; charset={charset}; boundary=x"
    answer = ask("POST", "/api/jobs", body, Content_Type=kind)
    assert answer.status == 422 and "there is no file" in answer.json["error"]


def test_an_upload_that_is_broken_off_is_no_failure_of_the_server(ask, caplog):
    head = (
        "POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x"
    )
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(caplog.handler)
    try:
        with socket.create_connection(("127.0.0.1", ask.port)) as connection:
            connection.sendall(head.encode())
            time.sleep(0.1)
        time.sleep(0.3)
    finally:
        logger.removeHandler(caplog.handler)
    assert not caplog.records and ask.get("/api/jobs").json == []


def test_a_full_disk_is_named_and_no_folder_is(ask, png, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "x"))

    with monkeypatch.context() as patch:
        patch.setattr("gluon_enhance.serving.app.shutil.copyfileobj", full)
        answer = ask.post("/api/jobs", [], [("file", "a.png", png)])
    assert answer.status == 507 and "(No space left on device)" in answer.json["error"]
    assert "nosniff" in answer.headers["X-Content-Type-Options"]
    assert not list((tmp_path / "jobs" / "jobs").iterdir())
    assert ask.post("/api/jobs", [("model", "nearest")], [("file", "a.png", png)]).status == 202


def test_a_damaged_picture_fails_with_its_own_name(ask, png):
    answer = ask.post("/api/enhance", [("model", "bicubic")], [("file", "a.png", png[:-100])])
    assert answer.status == 422 and answer.json["error"].startswith("a.png")
    assert "/" not in answer.json["error"]


def test_no_message_tells_where_the_server_has_its_files(ask, tmp_path, rng):
    Image.fromarray(rng.integers(0, 256, (8, 8, 4), np.uint8), "CMYK").save(tmp_path / "a.tif")
    files = [("file", "a.tif", (tmp_path / "a.tif").read_bytes())]
    fields = [("model", "bicubic"), ("model", "nearest")]
    job = finished(ask, ask.post("/api/comparisons", fields, files).json)
    assert job["status"] == "failed" and job["error"].startswith("a.tif is CMYK")
    shown = ask.get(f"/api/jobs/{job['id']}/preview/original")
    assert shown.status == 422 and shown.json["error"].startswith("a.tif is CMYK")


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("../../etc/x.png", "x.png"),
        ("C:\\x\\y.png", "y.png"),
        ("..", "picture"),
        ("a\u202e.png", "a.png"),
    ],
)
def test_names_of_files_are_plain(ask, png, name, plain):
    job = ask.post("/api/jobs", [("model", "nearest")], [("file", name, png)]).json
    assert job["name"] == plain


def test_too_many_bytes_pixels_and_jobs_are_refused(start, gate, png):
    ask = start(bytes=5000, pixels=20 * 16, waiting=1)
    assert ask.post("/api/jobs", [], [("file", "x.png", bytes(6000))]).status == 413
    # Without saying how much, in chunks.
    kind = "multipart/form-data; boundary=x"
    chunks = iter([b"--x\r\nContent-Disposition: form-data; name=file; filename=x\r\n\r\n"]
                  + [bytes(1000)] * 8)  # fmt: skip
    assert ask("POST", "/api/jobs", chunks, Content_Type=kind).status == 413
    large = encoded(np.zeros((17, 20, 3), np.uint8))
    answer = ask.post("/api/jobs", [], [("file", "x.png", large)])
    assert answer.status == 413 and "20x17: more than 320 pixels" in answer.json["error"]
    fields = [("model", "nearest")]
    answers = [ask.post("/api/jobs", fields, [("file", "a.png", png)]) for _ in range(4)]
    (refused, *_) = [one for one in answers if one.status != 202]
    assert refused.status == 429 and int(refused.headers["Retry-After"]) >= 1


def test_what_is_tried_again_counts_as_what_is_new(start, gate, png):
    ask = start(waiting=2)
    fields, files = [("model", "nearest")], [("file", "a.png", png)]
    running, canceled = (ask.post("/api/jobs", fields, files).json["id"] for _ in range(2))
    for _ in range(200):
        if ask.get(f"/api/jobs/{running}").json["status"] == "running":
            break
        time.sleep(0.02)
    ask("POST", f"/api/jobs/{canceled}/cancel")
    assert ask.post("/api/jobs", fields, files).status == 202
    answer = ask("POST", f"/api/jobs/{canceled}/retry")
    assert answer.status == 429 and int(answer.headers["Retry-After"]) >= 1
    assert ask.get(f"/api/jobs/{canceled}").json["status"] == "canceled"


def test_an_archive_lacks_what_was_removed_while_it_was_made(tmp_path):
    names = ("a.png", "gone.png", "b.png")
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(name.encode())
    data = b"".join(zipped((name, tmp_path / name) for name in names))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["a.png", "b.png"] and archive.read("b.png") == b"b.png"


def test_a_net_between_two_is_that_of_interpolate(ask, tmp_path, png):
    pytest.importorskip("mxnet")
    between, target = tmp_path / "between.params", tmp_path / "out.png"
    (tmp_path / "a.png").write_bytes(png)
    for words in (
        ["interpolate", "rrdb_lite_x4", "esrgan_lite_x4", "--alpha", "0.3", "-o", str(between)],
        ["enhance", str(tmp_path / "a.png"), "-m", f"esrgan_lite_x4={between}", "-o", str(target)]
        + ["--engine", "openvino", "--threads", "1"],
    ):
        assert CliRunner().invoke(cli, words).exit_code == 0
    fields = [("model", "esrgan_lite_x4"), ("alpha", "0.31"), ("no_record", "true")]
    answer = ask.post("/api/enhance", fields, [("file", "a.png", png)])
    assert answer.status == 200
    made = cv2.imdecode(np.frombuffer(answer.body, np.uint8), 1)
    assert np.array_equal(made, cv2.imread(str(target)))


def test_a_geotiff_keeps_its_place(ask, tmp_path, rng):
    rasterio = pytest.importorskip("rasterio")
    transform = rasterio.Affine(10, 0, 600_000, 0, -10, 5_300_000)
    profile = {"height": 16, "width": 20, "count": 3, "dtype": "uint8", "crs": "EPSG:32632"}
    with rasterio.open(tmp_path / "a.tif", "w", transform=transform, **profile) as dataset:
        dataset.write(rng.integers(0, 256, (3, 16, 20), np.uint8))
    files = [("file", "a.tif", (tmp_path / "a.tif").read_bytes())]
    answer = ask.post("/api/enhance", [("model", "nearest")], files)
    (tmp_path / "out.tif").write_bytes(answer.body)
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.transform == transform @ rasterio.Affine.scale(0.25)
        assert dataset.crs == "EPSG:32632" and dataset.shape == (64, 80)


def test_heic_is_taken_and_shown(ask, tmp_path, rng):
    heif = pytest.importorskip("pillow_heif")
    image = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
    heif.from_pillow(image).save(tmp_path / "a.heic")
    files = [("file", "a.heic", (tmp_path / "a.heic").read_bytes())]
    job = finished(ask, ask.post("/api/jobs", [("model", "nearest")], files).json)
    assert job["result"]["name"] == "a_x4.png"
    shown = ask.get(f"/api/jobs/{job['id']}/preview/original")
    assert shown.body.startswith(b"\x89PNG")


def test_canceled_jobs_can_be_tried_again(ask, gate, png):
    fields = [("model", "nearest")]
    jobs = [ask.post("/api/jobs", fields, [("file", "a.png", png)]).json for _ in range(2)]
    last = f"/api/jobs/{jobs[-1]['id']}"
    assert ask("POST", f"{last}/cancel").json["status"] == "canceled"
    assert ask.get(f"{last}/result").status == 409
    assert ask("POST", f"{last}/retry").json["status"] == "waiting"
    gate.set()
    assert finished(ask, jobs[-1])["status"] == "done"
