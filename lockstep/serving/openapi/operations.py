"""What each route is for, what it takes and what it answers. A test holds this table and the routes together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST

from lockstep.serving.exchange import CSV, JSON, OCTETS, PARQUET
from lockstep.serving.expiry import HEADERS as TIMEOUT_HEADERS
from lockstep.serving.infer_binary import HEADER
from lockstep.serving.lookups import PATH as LOOKUP
from lockstep.serving.open_inference import MODEL, VERSION
from lockstep.serving.openapi import fixed
from lockstep.serving.openapi.responses import MODEL_HEADERS, SCORE_HEADERS, answered
from lockstep.serving.openapi.values import Schema
from lockstep.serving.openapi.view import Scope, View
from lockstep.serving.repository_edge import MODEL as REPOSITORY_MODEL
from lockstep.serving.routing.keys import HEADER as KEY_HEADER

HTML, PLAIN_TEXT = "text/html", CONTENT_TYPE_LATEST.partition(";")[0]
# Of an operation that reads a body, that asks a model, and of one that changes what is served.
BODY, MODEL_ERRORS = (400, 408, 413, 415), (404, 503)
SCORING = (*BODY, *MODEL_ERRORS, 504)
CHANGING = (*BODY, *MODEL_ERRORS, 409)

PARQUET_BODY = "A Parquet file with the columns of the model; others in it are not read."
CSV_BODY = "A header line with the column names, then a line for each row. Only an empty cell is missing text."
TIMEOUTS: tuple[Schema, ...] = tuple(
    {
        "name": name,
        "in": "header",
        "description": "Milliseconds in which the answer is wanted; later it is 504.",
        "schema": {"type": "string", "pattern": "^0*[1-9][0-9]{0,10}$", "maxLength": 12},
    }
    for name in TIMEOUT_HEADERS
)
KEY: Schema = {
    "name": KEY_HEADER,
    "in": "header",
    "description": "Whose rows they are, where a model has a canary: a JSON object of its columns, or the value of "
    "the only one. It decides which version answers. It is not read for other models, nor with a version in the path.",
    "schema": {"type": "string"},
}
BINARY_BODY = (
    f"JSON as in application/json, whose length is in {HEADER}; then the bytes of the tensors that have the parameter "
    "binary_data_size, in order. Without that header the body is JSON alone; with 0 it is one row of the only input."
)


@dataclass(frozen=True)
class Operation:
    """One route, described.

    Attributes:
        id: Unique name for generated clients.
        summary: For a person.
        tag: Group on a page.
        answers: Responses that are no errors of the usual form, by status.
        errors: Statuses of errors beside 500, which any operation may answer with.
        body: Of the request.
        headers: Parameters in the request's head.
    """

    id: str
    summary: str
    tag: str
    answers: Callable[[View], Mapping[str, Schema]]
    errors: tuple[int, ...] = ()
    body: Callable[[View], Schema] | None = None
    headers: tuple[Schema, ...] = ()


def _fixed(
    description: str, content: dict[str, Schema], *, headers: tuple[str, ...] = (), **others: Schema
) -> Callable[[View], Mapping[str, Schema]]:
    """Answer in a way that depends on no model; `others` are responses by status, as `s503`."""
    responses = {
        "200": answered(description, content, headers),
        **{s.removeprefix("s"): each for s, each in others.items()},
    }
    return lambda _: responses


def _invocations(id_: str, summary: str, scope: Scope) -> Operation:
    def answers(view: View) -> Mapping[str, Schema]:
        return {"200": answered("A record for each row.", {JSON: view.schema("Predictions", scope)}, SCORE_HEADERS)}

    def body(view: View) -> Schema:
        csv = {"schema": {"type": "string", "description": CSV_BODY}, "examples": view.csv_examples(scope)}
        rows = {"schema": view.schema("Invocations", scope), "examples": view.invocations_examples(scope)}
        parquet = {"schema": {"type": "string", "format": "binary", "description": PARQUET_BODY}}
        return {"required": True, "content": {JSON: rows, CSV: csv, PARQUET: parquet}}

    return Operation(id_, summary, "MLflow", answers, SCORING, body, (KEY, *TIMEOUTS))


def _infer(id_: str, summary: str, scope: Scope) -> Operation:
    def answers(view: View) -> Mapping[str, Schema]:
        content = {JSON: view.schema("InferResponse", scope), OCTETS: {"description": "JSON, then tensors as bytes."}}
        return {"200": answered("Outputs for all rows.", content, (*SCORE_HEADERS, HEADER))}

    def body(view: View) -> Schema:
        tensors = {"schema": view.schema("InferRequest", scope), "examples": view.infer_examples(scope)}
        return {"required": True, "content": {JSON: tensors, OCTETS: {"schema": {"description": BINARY_BODY}}}}

    length = {"name": HEADER, "in": "header", "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"}}
    length["description"] = "Bytes of JSON at the start of a body with binary tensors."
    return Operation(id_, summary, "Open Inference", answers, SCORING, body, (length, KEY, *TIMEOUTS))


def _metadata(id_: str, summary: str, scope: Scope) -> Operation:
    def answers(view: View) -> Mapping[str, Schema]:
        content = {JSON: view.schema("Metadata", scope)}
        return {"200": answered("Inputs, outputs, digest.", content, MODEL_HEADERS)}

    return Operation(id_, summary, "Open Inference", answers, MODEL_ERRORS)


def _ready(id_: str, summary: str) -> Operation:
    return Operation(id_, summary, "Open Inference", _fixed("It is.", {JSON: fixed.MODEL_READY}), MODEL_ERRORS)


def _repository(id_: str, summary: str, answer: Schema, *, request: Schema, errors: tuple[int, ...]) -> Operation:
    def body(_: View) -> Schema:
        return {"content": {JSON: {"schema": request}}, "required": "required" in request}

    return Operation(id_, summary, "Repository", _fixed("Done.", {JSON: answer}), errors, body)


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/invocations"): _invocations("invocations", "Score rows with the default model.", "default"),
    ("POST", "/endpoints/{name}/invocations"): _invocations("endpoint_invocations", "Score rows.", "current"),
    ("GET", "/ping"): Operation(
        "ping", "Whether requests are taken.", "MLflow", _fixed("They are.", {JSON: {}}, s404=fixed.NOT_SERVING)
    ),
    ("GET", "/health"): Operation(
        "health", "The same as /ping.", "MLflow", _fixed("They are.", {JSON: {}}, s404=fixed.NOT_SERVING)
    ),
    ("GET", "/version"): Operation(
        "version", "MLflow's version, bare.", "MLflow", _fixed("The version, not as JSON.", {JSON: {}})
    ),
    ("GET", "/v2"): Operation("server", "About the server.", "Open Inference", _fixed("It.", {JSON: fixed.SERVER})),
    ("GET", "/v2/health/live"): Operation(
        "live", "Whether the process works.", "Open Inference", _fixed("It does.", {JSON: fixed.LIVE}, s503=fixed.STUCK)
    ),
    ("GET", "/v2/health/ready"): Operation(
        "ready",
        "Whether all models are loaded and requests are taken.",
        "Open Inference",
        _fixed("They are.", {JSON: fixed.READY}, s503=fixed.UNREADY),
    ),
    ("GET", MODEL): _metadata("model", "What a model takes and gives.", "current"),
    ("GET", VERSION): _metadata("model_version", "What a version takes and gives.", "any"),
    ("GET", f"{MODEL}/ready"): _ready("model_ready", "Whether a model answers."),
    ("GET", f"{VERSION}/ready"): _ready("model_version_ready", "Whether a version answers."),
    ("POST", f"{MODEL}/infer"): _infer("infer", "Score tensors.", "current"),
    ("POST", f"{VERSION}/infer"): _infer("version_infer", "Score tensors with a version.", "any"),
    ("POST", "/v2/repository/index"): _repository(
        "index", "List models and versions.", fixed.INDEX, request=fixed.INDEX_REQUEST, errors=BODY
    ),
    ("POST", f"{REPOSITORY_MODEL}/load"): _repository(
        "load", "Let a version answer.", fixed.NOTHING, request=fixed.LOAD_REQUEST, errors=CHANGING
    ),
    ("POST", f"{REPOSITORY_MODEL}/unload"): _repository(
        "unload", "Stop serving a model.", fixed.NOTHING, request=fixed.ANY_OBJECT, errors=(*BODY, 404)
    ),
    ("POST", f"{REPOSITORY_MODEL}/rollback"): _repository(
        "rollback", "Let the previous version answer.", fixed.ROLLED_BACK, request=fixed.ANY_OBJECT,
        errors=(*BODY, 404, 409),
    ),
    ("POST", LOOKUP): Operation(
        "lookup",
        "Predictions that were published before, by key.",
        "Lookup",
        _fixed("A row for each key, in their order.", {JSON: fixed.LOOKUP}, headers=("Server-Timing",)),
        (*BODY, 404, 503),
        lambda _: {"required": True, "content": {JSON: {"schema": fixed.LOOKUP_REQUEST}}},
        TIMEOUTS,
    ),
    ("POST", f"{REPOSITORY_MODEL}/canary/abort"): _repository(
        "abort_canary", "End a canary: the champion alone answers.", fixed.CANARY_DECIDED,
        request=fixed.CANARY_REQUEST, errors=CHANGING,
    ),
    ("POST", f"{REPOSITORY_MODEL}/canary/resume"): _repository(
        "resume_canary", "Let an aborted canary go on.", fixed.CANARY_DECIDED,
        request=fixed.CANARY_REQUEST, errors=CHANGING,
    ),
    ("GET", "/metrics"): Operation(
        "metrics", "For Prometheus.", "Operation", _fixed("Metrics.", {PLAIN_TEXT: fixed.TEXT})
    ),
    ("GET", "/status"): Operation("status", "For people.", "Operation", _fixed("A page.", {HTML: fixed.TEXT})),
    ("GET", "/status.json"): Operation(
        "status_json", "What the page says.", "Operation", _fixed("Figures.", {JSON: fixed.STATUS})
    ),
    ("GET", "/openapi.json"): Operation(
        "openapi", "This document.", "Operation", _fixed("OpenAPI 3.1.", {JSON: fixed.ANY_OBJECT})
    ),
    ("GET", "/docs"): Operation(
        "docs", "This document as a page for people.", "Operation", _fixed("HTML.", {"text/html": fixed.TEXT})
    ),
    ("GET", "/"): Operation("root", "The same as /docs.", "Operation", _fixed("HTML.", {"text/html": fixed.TEXT})),
}  # fmt: skip
