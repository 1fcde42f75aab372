"""Who may ask a server of ours, asked over a real socket."""

import time

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from web_server import Client, running

from gluon_enhance.web.security import HEADERS, check_access
from gluon_enhance.web.shell import address_of, listen, shell

TOKEN = "0123456789abcdef-secret"


async def fail(request):
    raise KeyError("a fault of ours")


async def hello(request):
    return PlainTextResponse("hello")


@pytest.fixture
def start(tmp_path):
    """Return what starts a server of one route and one page, and gives a client of it."""
    (tmp_path / "index.html").write_text("the page")
    servers = []

    def started(host="127.0.0.1", token=None):
        routes = [Route("/hello", hello, methods=["GET", "POST"]), Route("/fail", fail)]
        server = running(shell(routes, tmp_path, host, token))
        servers.append(server)
        return Client(server.__enter__())

    yield started
    for server in servers:
        server.__exit__(None, None, None)


def test_pages_files_and_routes_come_with_headers_that_keep_strangers_out(start):
    ask = start()
    for path, body in (("/hello", b"hello"), ("/", b"the page"), ("/index.html", b"the page")):
        answer = ask.get(path)
        assert (answer.status, answer.body) == (200, body)
        assert all(answer.headers[name] == value for name, value in HEADERS.items())
    assert ask.get("/shared/base.css").status == 200


def test_a_fault_of_the_server_is_told_as_other_errors_are(start):
    answer = start().get("/fail")
    assert answer.status == 500 and answer.json == {
        "error": "the server failed at this; its log says why"
    }


@pytest.mark.parametrize("host", ["localhost:{}", "127.0.0.1:{}", "[::1]:{}", "LOCALHOST:{}"])
def test_a_server_answers_to_its_own_names(start, host):
    ask = start()
    assert ask.get("/hello", Host=host.format(ask.port)).status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[", "a b"])
def test_names_that_another_site_points_here_are_refused(start, host):
    answer = start().get("/hello", Host=host)
    assert answer.status in (400, 421) and b"hello" not in answer.body


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "file://127.0.0.1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"},
    ],
)
def test_pages_of_other_sites_may_not_use_a_server(start, headers):
    ask = start()
    assert ask("POST", "/hello", **headers).status == 403
    assert ask.get("/hello", **headers).status == 403


def test_its_own_pages_may_and_links_lead_to_it(start):
    ask = start()
    assert ask("POST", "/hello", Origin=f"http://127.0.0.1:{ask.port}").status == 200
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ask.get("/hello", **link).status == 200
    assert ask("POST", "/hello", **link).status == 403


def test_without_the_token_nothing_is_told(start):
    ask = start("0.0.0.0", TOKEN)
    for path in ("/", "/hello", "/shared/base.css", "/?token=wrong"):
        answer = ask.get(path)
        assert answer.status == 401 and "token" in answer.json["error"]
    assert ask.get("/hello", Authorization="Bearer wrong").status == 401
    assert ask.get("/hello", Cookie="gluon_enhance_00000000=x").status == 401
    assert ask.get("/hello", Authorization="Bearer \xe9").status == 401


def test_a_long_cookie_of_others_holds_nobody_up(start):
    """Python's own reader of cookies takes quadratic time: 10 s for the longest."""
    ask = start("0.0.0.0", TOKEN)
    begun = time.perf_counter()
    answer = ask.get("/hello", Cookie='x="' + "\\1" * 31_000)
    assert answer.status == 401 and time.perf_counter() - begun < 2


def test_the_token_comes_as_a_header_or_once_in_the_address(start):
    ask = start("0.0.0.0", TOKEN)
    assert ask.get("/hello", Authorization=f"Bearer {TOKEN}").status == 200
    answer = ask.get(f"/?token={TOKEN}")
    assert answer.status == 303 and answer.headers["Location"] == "/"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and TOKEN not in cookie
    assert ask.get("/hello").body == b"hello"  # with the cookie


@pytest.mark.parametrize(
    ("host", "token", "message"),
    [
        ("0.0.0.0", None, "--host 0.0.0.0 lets other machines in; give --token too"),
        ("0.0.0.0", "", "give --token too"),
        ("127.0.0.1", "short", "--token has 5 characters"),
    ],
)
def test_other_machines_need_a_token_that_cannot_be_guessed(host, token, message):
    with pytest.raises(ValueError, match=message):
        check_access(host, token)
    check_access("127.0.0.1", None)
    check_access("0.0.0.0", TOKEN)


def test_a_port_that_is_taken_is_named():
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        assert address_of(taken, "x") == f"http://localhost:{port}/?token=x"
        assert address_of(taken, "+/=&") == f"http://localhost:{port}/?token=%2B%2F%3D%26"
        with pytest.raises(OSError, match=f"--port {port} cannot be listened to"):
            listen("127.0.0.1", port)
