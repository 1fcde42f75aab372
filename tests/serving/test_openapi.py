"""The document of the API is true: schemathesis asks what it says may be asked."""

from contextlib import closing

import cv2
import numpy as np
import pytest
from web_server import Client, running

from gluon_enhance.commands.craft import CommandCraft
from gluon_enhance.serving.app import make_app
from gluon_enhance.serving.jobs import Jobs
from gluon_enhance.serving.limits import Limits

schemathesis = pytest.importorskip("schemathesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as some  # noqa: E402
from schemathesis import checks  # noqa: E402

ENDLESS = "/api/events"
TRIED = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
PNG = cv2.imencode(".png", np.arange(48, dtype=np.uint8).reshape(4, 4, 3))[1].tobytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return the port of a server, and the number of a job that is done."""
    folder = tmp_path_factory.mktemp("server")
    craft = CommandCraft(folder, 10**9, threads=1, engine="openvino")
    with closing(Jobs(folder)) as jobs, running(make_app(jobs, craft, Limits())) as port:
        ask = Client(port)
        job = ask.post("/api/jobs", [("model", "nearest")], [("file", "a.png", PNG)]).json
        ask.get(f"/api/jobs/{job['id']}/events")
        yield port, job["id"]


def operations(port):
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/api/openapi.json")
    return [one.ok() for one in schema.get_all_operations()]


def test_all_that_is_asked_is_answered_as_the_document_says(server):
    port, job_id = server
    for operation in operations(port):
        if operation.path == ENDLESS:
            continue

        @settings(
            max_examples=8,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), is_real=some.booleans())
        def hold(case, is_real):
            if is_real and case.method == "POST" and isinstance(case.body, dict):
                case.body["file"] = PNG if isinstance(case.body["file"], bytes) else [PNG]
                case.body["model"] = "nearest"
            if is_real and case.method == "GET" and "id" in (case.path_parameters or {}):
                case.path_parameters["id"] = job_id
            case.validate_response(case.call(timeout=60), checks=TRIED)

        hold()


def test_the_document_names_the_options_of_the_command(server):
    port, _ = server
    document = Client(port).get("/api/openapi.json").json
    body = document["paths"]["/api/enhance"]["post"]["requestBody"]
    options = body["content"]["multipart/form-data"]["schema"]["properties"]
    assert options["quality"]["minimum"] == 1 and options["quality"]["maximum"] == 100
    assert options["depth"]["enum"] == ["8", "16"] and options["strict"]["type"] == "boolean"
    assert not {"output", "inputs", "trust", "cluster", "device", "skip_existing"} & set(options)
