"""What the server tells browsers, and what it does not."""

import json
from contextlib import ExitStack, closing

import cv2
import numpy as np
import pytest
from small_study import small_study
from web_server import Client, running

from gluon_enhance.study.app import study_app
from gluon_enhance.study.database import Database, file_url

SECRETS = ("nearest", "secret_net", "original", "meadow", "harbor", "practice")


@pytest.fixture
def served(tmp_path):
    """Return what serves a study: it gives the study, its pictures, its database and a client."""
    with ExitStack() as stack:

        def serve(**changes):
            study, pictures = small_study(tmp_path / "study", **changes)
            store = stack.enter_context(closing(Database(file_url(tmp_path / "study"), study)))
            app = study_app(tmp_path / "study", study, store, "127.0.0.1")
            return study, pictures, store, Client(stack.enter_context(running(app)))

        yield serve


def rate(client, index, value, person=0):
    said = json.dumps({"rating": value, "person": person})
    return client("POST", f"/api/items/{index}/rating", said)


def pixels_of(answer):
    return cv2.imdecode(np.frombuffer(answer.body, np.uint8), 1)[..., ::-1]


def test_nothing_that_a_browser_gets_tells_names_before_the_end(served):
    study, pictures, _, client = served()
    items = study.sequence(0)
    answers = [client.get("/api/study"), client("POST", "/api/join", "{}")]
    for index, item in enumerate(items):
        answers += [client.get(f"/api/items/{index}")]
        picture = client.get(f"/api/items/{index}/pictures/0")
        assert np.array_equal(pixels_of(picture), pictures[item.picture][item.shown[0]])
        answers += [picture, rate(client, index, 3)]
    assert all(answer.status == 200 for answer in answers)
    *before, last = answers
    for answer in before:
        text = (str(answer.headers).encode() + answer.body).lower()
        assert not [name for name in SECRETS if name.encode() in text]
    assert last.json == {"person": 0, "next": 9, "total": 9, "methods": list(study.methods)}


def test_pictures_differ_in_no_header_but_their_length(served):
    _, _, _, client = served()
    client("POST", "/api/join", "{}")
    heads = []
    for index in range(2):
        headers = dict(client.get(f"/api/items/{index}/pictures/0").headers)
        heads.append({k.lower(): v for k, v in headers.items()})
        for name in ("date", "content-length"):
            heads[-1].pop(name)
    assert heads[0] == heads[1] and not {"etag", "last-modified"} & set(heads[0])
    assert heads[0]["cache-control"] == "no-store"


def test_a_rating_is_saved_at_once_and_people_come_back(served):
    study, _, store, client = served()
    client("POST", "/api/join", "{}")
    assert rate(client, 0, 4).json == {"person": 0, "next": 1, "total": 9, "methods": None}
    assert store.rated(0) == {0: 4}
    again = Client(client.port)
    again.cookies = client.cookies
    assert again.get("/api/study").json["next"] == 1
    assert again("POST", "/api/join", "{}").json["next"] == 1 and store.joined() == 1


def test_another_person_at_the_browser_gets_an_order_of_their_own(served):
    study, pictures, store, client = served()
    client("POST", "/api/join", "{}")
    client("POST", "/api/leave", "{}")
    client.cookies.clear()
    assert client.get("/api/items/0").status == 401
    client("POST", "/api/join", "{}")
    first = study.sequence(1)[0]
    shown = pixels_of(client.get("/api/items/0/pictures/0"))
    assert np.array_equal(shown, pictures[first.picture][first.shown[0]]) and store.joined() == 2


def test_studies_of_one_design_at_one_machine_do_not_take_each_others_people(served, tmp_path):
    study, _, _, client = served()
    client("POST", "/api/join", "{}")
    rate(client, 0, 3)
    (tmp_path / "pilot").mkdir()
    with (
        closing(Database(file_url(tmp_path / "pilot"), study)) as pilot,
        running(study_app(tmp_path / "study", study, pilot, "127.0.0.1")) as port,
    ):
        other = Client(port)
        other.cookies = client.cookies
        assert other.get("/api/study").json["person"] is None
        assert other("POST", "/api/join", "{}").json["next"] == 0
        assert client.get("/api/study").json["next"] == 1


def test_a_tab_of_who_was_at_the_browser_before_cannot_rate_for_who_is_now(served):
    _, _, store, client = served()
    assert client("POST", "/api/join", "{}").json["person"] == 0
    client.cookies.clear()
    assert client("POST", "/api/join", "{}").json["person"] == 1
    answer = rate(client, 0, 3, person=0)
    assert answer.status == 409 and "another person has begun" in answer.json["error"]
    assert rate(client, 0, 4, person=1).status == 200
    assert (store.rated(0), store.rated(1)) == ({}, {0: 4})


def test_files_that_cannot_be_used_are_said_without_names_and_nothing_seems_saved(
    served, tmp_path, caplog
):
    _, _, _, client = served()
    client("POST", "/api/join", "{}")
    for path in (tmp_path / "study").glob("ratings.sqlite*"):
        path.unlink()
    for path in (tmp_path / "study/pictures").rglob("*.png"):
        path.unlink()
    answers = [rate(client, 0, 3), client.get("/api/items/0/pictures/0")]
    answers += [Client(client.port)("POST", "/api/join", "{}")]
    for answer in answers:
        assert answer.status == 507 and "tell who runs the study" in answer.json["error"]
        assert not [name for name in SECRETS if name.encode() in answer.body]
    assert "the file of the ratings is gone; end this server" in caplog.text
    assert not list((tmp_path / "study").glob("ratings.sqlite*"))


def test_double_stimulus_sends_the_reference_first(served):
    study, pictures, _, client = served(kind="dcr")
    client("POST", "/api/join", "{}")
    item = study.sequence(0)[0]
    assert client.get("/api/items/0").json["pictures"] == 2
    for side, method in enumerate(("original", item.shown[1])):
        shown = pixels_of(client.get(f"/api/items/0/pictures/{side}"))
        assert np.array_equal(shown, pictures[item.picture][method])


def test_training_tells_the_rating_of_an_anchor(served):
    study, _, _, client = served(anchors=(("nearest", 1),))
    client("POST", "/api/join", "{}")
    told = []
    for index, item in enumerate(study.sequence(0)[:4]):
        told.append(client.get(f"/api/items/{index}").json["suggested"])
        assert told[-1] == item.suggested
        rate(client, index, 2)
    assert sorted(map(str, told)) == ["1", "None", "None", "None"]


def test_a_rating_can_be_mended_until_all_is_rated(served):
    _, _, store, client = served()
    client("POST", "/api/join", "{}")
    for index in range(8):
        rate(client, index, 3)
    assert client.get("/api/items/2").json["rating"] == 3
    assert rate(client, 2, 5).status == 200 and store.rated(0)[2] == 5
    rate(client, 8, 3)
    answer = rate(client, 2, 1)
    assert answer.status == 409 and "names were told" in answer.json["error"]
    assert store.rated(0)[2] == 5


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (
            "/api/items/0/rating",
            '{"rating": 6, "person": 0}',
            422,
            "rating is 6; give a whole number, 1 to 5",
        ),
        ("/api/items/0/rating", '{"rating": true, "person": 0}', 422, "rating is True"),
        ("/api/items/0/rating", '{"rating": NaN, "person": 0}', 422, "rating is nan"),
        ("/api/items/0/rating", '{"rating": 3, "person": 7}', 409, "another person has begun"),
        ("/api/items/0/rating", '{"rating": 3}', 422, 'send {"rating": N, "person": N}'),
        ("/api/items/0/rating", "nonsense", 422, 'send {"rating": N, "person": N}'),
        pytest.param(
            "/api/items/0/rating", "[" * 999, 422, 'send {"rating": N, "person": N}', id="nested"
        ),
        pytest.param(f"/api/items/{'9' * 5000}", None, 404, "Not Found", id="digits"),
        ("/api/items/0/rating", " " * 2000, 413, "no more than 1000 bytes"),
        ("/api/items/1/rating", '{"rating": 1, "person": 0}', 409, "item 0 comes first"),
        ("/api/items/2/rating", '{"rating": 1, "person": 0}', 404, "does not come yet"),
        ("/api/items/99/pictures/0", None, 404, "no such item"),
        ("/api/items/0/pictures/1", None, 404, "there is no such picture"),
    ],
)
def test_what_is_not_asked_is_refused(served, path, body, status, message):
    _, _, store, client = served()
    client("POST", "/api/join", "{}")
    answer = client("GET" if body is None else "POST", path, body)
    assert answer.status == status and message in answer.json["error"]
    assert store.ratings() == []


def test_pages_of_other_sites_cannot_rate(served):
    _, _, store, client = served()
    client("POST", "/api/join", "{}")
    answer = client(
        "POST", "/api/items/0/rating", '{"rating": 1, "person": 0}', Origin="https://else.example"
    )
    assert answer.status == 403 and store.ratings() == []


def test_no_file_of_the_study_can_be_asked_for(served):
    _, _, _, client = served()
    for path in ("study.toml", "ratings.sqlite", "pictures/nearest/meadow.png", "../study.toml"):
        assert client.get(f"/{path}").status == 404
