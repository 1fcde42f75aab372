"""What the API takes and gives, as OpenAPI 3.1 tells it."""

from __future__ import annotations

from typing import Any

from gluon_enhance import __version__
from gluon_enhance.serving.limits import Limits
from gluon_enhance.serving.worker import Craft

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
WHOLE = {"type": "integer"}
JOB = {
    "type": "object",
    "required": ["id", "kind", "name", "options", "status", "error", "progress", "result"],
    "properties": {
        "id": TEXT,
        "kind": {"enum": ["enhance", "compare"]},
        "name": {**TEXT, "description": "The names of its files."},
        "options": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": TEXT},
        },
        "status": {"enum": ["waiting", "running", "done", "failed", "canceled"]},
        "error": {"type": ["string", "null"]},
        "progress": {
            "type": "object",
            "description": "Tiles done, and in all; 0 of 0 if none was begun.",
            "properties": {"done": WHOLE, "total": WHOLE},
        },
        "result": {
            "type": ["object", "null"],
            "description": "The result's name and what there is to say of it, when it is done.",
        },
        "created": {**NUMBER, "description": "Seconds since 1970."},
        "ended": {"type": ["number", "null"]},
    },
}
FAULTS = {
    400: "The form is damaged.",
    401: "The token is missing.",
    403: "A page of another site asks.",
    404: "There is no such thing, or no more.",
    409: "The job is not done.",
    413: "The request has too many bytes, the picture too many pixels, or the work needs too much.",
    415: "The file is no picture that is read.",
    421: "The server is not called so.",
    422: "An option or the picture is wrong, which the text tells.",
    429: "Too many jobs wait; Retry-After tells when to try again.",
    507: "The server cannot store its files, as when its disk is full.",
}
ALWAYS = (401, 403, 421, 507)
BINARY = {"type": "string", "contentMediaType": "application/octet-stream"}


def description(craft: Craft, limits: Limits) -> dict[str, Any]:
    """Return the document for a craft's options."""
    job, jobs = _json("A job.", _ref("Job")), _json("Jobs.", _list(_ref("Job")))
    events = {
        "description": "Events `begin`, `job` and `gone`.",
        "content": {"text/event-stream": {}},
    }
    image = {"description": "The result.", "content": {"image/*": {"schema": BINARY}}}
    png = {"description": "A picture.", "content": {"image/*": {"schema": BINARY}}}
    archive = {"description": "The results.", "content": {"application/zip": {"schema": BINARY}}}
    page = {"content": {"image/*": {"schema": BINARY}, "text/html": {"schema": BINARY}}}
    enhance, compare = (_form(craft, kind) for kind in ("enhance", "compare"))
    taken = (400, 413, 415, 422, 429)
    paths = {
        "/api/enhance": {
            "post": _does("Enhance a picture; it comes back.", {200: image}, taken, enhance)
        },
        "/api/jobs": {
            "post": _does("Have a picture enhanced.", {202: job}, taken, enhance),
            "get": _does("List your jobs.", {200: jobs}),
        },
        "/api/comparisons": {
            "post": _does("Have pictures compared.", {202: job}, taken, compare),
        },
        "/api/jobs/{id}": {
            "get": _does("Tell how a job is.", {200: job}, (404,)),
            "delete": _does(
                "Remove a job and its files.", {204: {"description": "It is gone."}}, (404,)
            ),
        },
        "/api/jobs/{id}/cancel": {"post": _does("Cancel a job.", {200: job}, (404,))},
        "/api/jobs/{id}/retry": {
            "post": _does("Begin a failed or canceled job anew.", {200: job}, (404, 429))
        },
        "/api/jobs/{id}/events": {
            "get": _does("Follow a job until it has ended.", {200: events}, (404,))
        },
        "/api/jobs/{id}/result": {
            "get": _does(
                "Get what came of a job: a picture, or a page that compares pictures.",
                {200: {"description": "The result.", **page}},
                (404, 409),
            )
        },
        "/api/jobs/{id}/preview/{which}": {
            "get": _does("See a job's file as browsers can show it.", {200: png}, (404, 422))
        },
        "/api/results.zip": {"get": _does("Get all results.", {200: archive}, (404,))},
        "/api/events": {"get": _does("Follow your jobs.", {200: events})},
        "/api/models": {
            "get": _does("List the models.", {200: _json("Models.", _list({"type": "object"}))})
        },
        "/api/models/{name}/{picture}.png": {
            "get": _does("See a model's sample or curves.", {200: png}, (404,))
        },
        "/api/session": {
            "post": _does(
                "Be known by a cookie, not by the address.", {204: {"description": "You are."}}
            )
        },
    }
    for path, methods in paths.items():
        for method in methods.values():
            method["parameters"] = list(map(_parameter, _names_in(path)))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gluon-enhance",
            "version": __version__,
            "description": f"Takes up to {limits.bytes:,} bytes and {limits.pixels:,} pixels.",
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Job": JOB,
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {"error": TEXT},
                },
            }
        },
    }


def _does(summary, answers, faults=(), form=None) -> dict[str, Any]:
    """Describe an operation."""
    error = {"application/json": {"schema": _ref("Error")}}
    for status in (*ALWAYS, *faults):
        answers[status] = {"description": FAULTS[status], "content": error}
    operation = {
        "summary": summary,
        "responses": {str(status): answer for status, answer in sorted(answers.items())},
    }
    if form:
        content = {"multipart/form-data": {"schema": form}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _form(craft, kind):
    file = {**BINARY, "description": "A picture."}
    files: dict[str, dict] = {"file": file}
    if kind == "compare":
        files["file"] = {"type": "array", "items": file, "minItems": 1, "maxItems": 6}
        files["reference"] = {**file, "description": "The truth, to score against."}
    properties = {**files, **craft.fields(kind)}
    return {
        "type": "object",
        "required": ["file"],
        "properties": properties,
        "additionalProperties": False,
    }


def _names_in(path):
    return [part.partition("}")[0] for part in path.split("{")[1:]]


def _parameter(name):
    choices = {"picture": ["sample", "curves"], "which": ["original", "result"]}
    schema = {"enum": choices[name]} if name in choices else TEXT
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _json(text, schema):
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _list(schema):
    return {"type": "array", "items": schema}


def _ref(name):
    return {"$ref": f"#/components/schemas/{name}"}
