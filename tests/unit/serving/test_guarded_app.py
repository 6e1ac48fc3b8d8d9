"""Who may do what over REST: asked before the model is looked up, in each protocol's form, and audited."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.metrics import Metrics
from lockstep.serving.repository import Repository, Source
from lockstep.serving.repository_edge import repository_routes
from lockstep.serving.security.api_keys import entry_text, new_api_key
from lockstep.serving.security.assembly import build_security
from lockstep.specs.serving_security import ServingSecurity
from tests.unit.serving.test_repository import Registry
from tests.unit.serving.toy import Answer, app_of, call

JSON = {"content-type": "application/json"}
SCORER, SCORER_ENTRY = new_api_key("scorer", models=["toy"], roles=["infer"])
READER, READER_ENTRY = new_api_key("reader", models=["toy"], roles=["read"])
READ_ALL, READ_ALL_ENTRY = new_api_key("auditor", models=["*"], roles=["read", "infer"])
ADMIN, ADMIN_ENTRY = new_api_key("ops", models=["toy"], roles=["admin"])
ENTRIES = (SCORER_ENTRY, READER_ENTRY, READ_ALL_ENTRY, ADMIN_ENTRY)


class Guarded:
    """An application over two models, of which only `toy` is loaded, with real keys and an audit log."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        (folder / "keys.yaml").write_text("keys:\n" + "".join(map(entry_text, ENTRIES)))
        self._audit = folder / "audit.jsonl"
        config = ServingSecurity.model_validate({"audit": {"file": "audit.jsonl"}, **facts})
        self.security = build_security(config, folder=folder)
        registry = Registry()
        source = Source(registry.resolve, registry.load)
        fleet = Fleet([ModelSlot("toy", current=registry.load(registry.resolve(None))), ModelSlot("hidden")])
        self.plane = DataPlane(fleet, metrics=Metrics(), limits=Limits())
        repository = Repository(fleet, {"toy": source, "hidden": source}, metrics=Metrics())
        self.app = app_of(self.plane, *repository_routes(self.plane, repository), security=self.security)

    def ask(self, path: str, body: Any = None, key: str | None = None, **headers: str) -> Answer:
        sent = {**({"x-api-key": key} if key else {}), **(JSON if body is not None else {}), **headers}
        return call(self.app, path, None if body is None else json.dumps(body).encode(), headers=sent)

    def audited(self) -> list[dict[str, Any]]:
        self.security.audit.start()
        self.security.audit.close()
        return [json.loads(line) for line in self._audit.read_text().splitlines()]


Make = Callable[..., Guarded]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Guarded] = []

    def guarded(**facts: Any) -> Guarded:
        made.append(Guarded(tmp_path, facts))
        return made[-1]

    yield guarded
    for each in made:
        each.plane.close()


@pytest.fixture
def guarded(make: Make) -> Guarded:
    return make(api_keys="keys.yaml")


@pytest.fixture
def asked(row: dict[str, Any]) -> dict[str, Any]:
    return {"dataframe_records": [row]}


OPEN = ["/ping", "/health", "/v2/health/live", "/v2/health/ready"]
CLOSED = [
    ("/version", None),
    ("/metrics", None),
    ("/v2", None),
    ("/openapi.json", None),
    ("/docs", None),
    ("/", None),
    ("/v2/models/toy", None),
    ("/v2/models/toy/ready", None),
    ("/v2/models/toy/versions/3/infer", {}),
    ("/invocations", {}),
    ("/endpoints/toy/invocations", {}),
    ("/v2/repository/index", {}),
    ("/v2/repository/models/toy/load", {}),
    ("/v2/repository/models/toy/unload", {}),
    ("/v2/repository/models/toy/rollback", {}),
]


@pytest.mark.parametrize("path", OPEN)
def test_health_needs_no_key(guarded: Guarded, path: str) -> None:
    assert guarded.ask(path).status != 401


@pytest.mark.parametrize(("path", "body"), CLOSED)
def test_everything_else_does(guarded: Guarded, path: str, body: Any) -> None:
    answer = guarded.ask(path, body)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="lockstep"')
    assert set(answer.json()) == ({"error"} if path.startswith("/v2") else {"error_code", "message"})
    wrong = guarded.ask(path, body, key="lsk_wrong")
    assert (wrong.status, wrong.headers["www-authenticate"].endswith('"invalid_token"')) == (401, True)


def test_every_route_is_open_on_purpose_or_guarded(guarded: Guarded) -> None:
    assert {route.path for route in guarded.app.router.routes if route.action is None} == set(OPEN)


def test_roles_are_held_with_models_and_none_comes_with_another(guarded: Guarded, asked: Any) -> None:
    scored = guarded.ask("/endpoints/toy/invocations", asked, key=SCORER)
    assert scored.status == 200
    assert guarded.ask("/endpoints/toy/invocations", asked, authorization=f"Bearer {SCORER}").body == scored.body
    assert guarded.ask("/v2/models/toy", key=READER).status == 200
    for path, body, key in (
        ("/v2/models/toy", None, SCORER),
        ("/v2/models/toy/infer", {}, READER),
        ("/v2/repository/models/toy/rollback", {}, READ_ALL),
        ("/metrics", None, ADMIN),
    ):
        answer = guarded.ask(path, body, key=key)
        assert (answer.status, "lacks the role" in answer.body.decode()) == (403, True)


def test_several_credentials_are_refused_even_when_each_is_right(guarded: Guarded, asked: Any) -> None:
    twice = f"Bearer {SCORER}\nBearer {READ_ALL}"
    answer = guarded.ask("/endpoints/toy/invocations", asked, authorization=twice)
    assert (answer.status, "several credentials" in answer.json()["message"]) == (401, True)


@pytest.mark.parametrize(
    "key", [None, "lsk_wrong", SCORER, READER, ADMIN], ids=["none", "wrong", "scorer", "reader", "admin"]
)
@pytest.mark.parametrize(
    "path", ["/v2/models/{}", "/v2/models/{}/ready", "/v2/models/{}/infer", "/endpoints/{}/invocations"]
)
def test_who_may_not_use_a_model_does_not_learn_whether_it_is_there(
    guarded: Guarded, path: str, key: str | None
) -> None:
    body = {} if path.endswith(("infer", "invocations")) else None
    answers = [guarded.ask(path.format(name), body, key=key) for name in ("hidden", "absent")]
    told = {(answer.status, answer.body.replace(b"hidden", b"absent")) for answer in answers}
    assert len(told) == 1
    assert told.pop()[0] in {401, 403}


def test_an_error_names_only_models_that_the_client_may_read(guarded: Guarded, asked: Any) -> None:
    for path in ("/invocations", "/v2/models/toy/versions/9/infer"):
        few = guarded.ask(path, asked, key=SCORER)
        assert (few.status, "hidden" in few.body.decode(), "serves" in few.body.decode()) == (404, False, False)
    assert "'hidden'" in guarded.ask("/invocations", asked, key=READ_ALL).json()["message"]


def test_the_index_lists_what_the_client_may_read(guarded: Guarded) -> None:
    def names(key: str) -> set[str]:
        return {each["name"] for each in guarded.ask("/v2/repository/index", {}, key=key).json()}

    assert names(READER) == {"toy"}
    assert names(READ_ALL) == {"toy", "hidden"}


def test_requests_and_rows_are_limited_and_the_answer_says_when_to_come_back(make: Make, asked: Any, row: Any) -> None:
    limits = {"requests_per_s": 0.5, "request_burst": 3, "rows_per_s": 1, "row_burst": 2}
    guarded = make(api_keys="keys.yaml", rate_limit=limits)
    path = "/endpoints/toy/invocations"
    assert guarded.ask(path, {"dataframe_records": [row] * 3}, key=SCORER).status == 400
    assert guarded.ask(path, {"dataframe_records": [row] * 2}, key=SCORER).status == 200
    rows = guarded.ask(path, asked, key=SCORER)
    assert (rows.status, rows.json()["error_code"], rows.headers["retry-after"]) == (429, "REQUEST_LIMIT_EXCEEDED", "1")
    requests = guarded.ask("/v2/models/toy/infer", {}, key=SCORER)
    assert (requests.status, requests.headers["retry-after"], set(requests.json())) == (429, "2", {"error"})
    assert guarded.ask(path, asked, key=READ_ALL).status == 200


def test_tokens_that_cannot_be_checked_now_are_503(make: Make) -> None:
    jwt = {"issuer": "i", "audience": "a", "jwks_url": "https://login.example.com/keys", "grants": [{"models": "*"}]}
    answer = make(jwt=jwt).ask("/v2", authorization="Bearer a.b.c")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")


def test_changes_are_audited_with_how_they_ended(guarded: Guarded) -> None:
    model = "/v2/repository/models/toy"
    load = {"parameters": {"version": "4"}}
    assert guarded.ask(f"{model}/load", load, key=ADMIN, **{"x-request-id": "r1"}).status == 200
    assert guarded.ask(f"{model}/rollback", {}, key=ADMIN).status == 200
    assert guarded.ask(f"{model}/unload", {"x": 1}, key=ADMIN).status == 200
    assert guarded.ask(f"{model}/rollback", {}, key=ADMIN).status == 409
    assert guarded.ask(f"{model}/load", {"parameters": 1}, key=ADMIN).status == 400
    assert guarded.ask(f"{model}/unload", {}, key=READER).status == 403
    assert guarded.ask(f"{model}/unload", {}).status == 401
    lines = guarded.audited()
    assert {line["model"] for line in lines} == {"toy"}
    told = [tuple(line.get(name) for name in ("client", "operation", "version", "outcome", "reason")) for line in lines]
    assert told == [
        ("ops", "load", "4", "done", None),
        ("ops", "rollback", "3", "done", None),
        ("ops", "unload", None, "done", None),
        ("ops", "rollback", None, "failed", "NothingToRollBackTo"),
        ("ops", "load", None, "failed", "RequestInvalid"),
        ("reader", None, None, "forbidden", None),
        (None, None, None, "unauthenticated", "missing"),
    ]
    assert lines[0]["request_id"] == "r1"
    assert lines[0]["peer"] == "127.0.0.1"


def test_without_configuration_everything_but_changes_is_open_and_nobody_is_asked(make: Make, asked: Any) -> None:
    guarded = make()
    assert guarded.ask("/endpoints/toy/invocations", asked, key="lsk_any").status == 200
    assert guarded.ask("/v2").status == guarded.ask("/metrics").status == 200
    assert guarded.ask("/v2/repository/models/toy/unload", {}).status == 403
    assert [line["client"] for line in guarded.audited()] == ["anonymous"]


def test_changes_that_everybody_may_make_are_audited_too(make: Make) -> None:
    guarded = make(anonymous={"models": "*", "roles": ["infer", "admin"]})
    assert guarded.ask("/v2/repository/models/toy/unload", {}).status == 200
    assert [(line["client"], line["outcome"]) for line in guarded.audited()] == [("anonymous", "done")]


def test_the_client_is_in_the_log_but_no_key(guarded: Guarded, asked: Any, capsys: Any) -> None:
    guarded.ask("/endpoints/toy/invocations", asked, key=SCORER)
    guarded.app._log.flush()
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert line["client"] == "scorer"
    assert SCORER not in json.dumps(line)


def test_the_description_names_no_model_that_a_client_may_not_read(guarded: Guarded) -> None:
    assert guarded.ask("/openapi.json", key=SCORER).status == 403
    own, every = guarded.ask("/openapi.json", key=READER), guarded.ask("/openapi.json", key=READ_ALL)
    assert (own.status, every.status) == (200, 200)
    assert b"hidden" not in own.body
    assert b"toy.3.InferRequest" in own.body
    assert b"hidden" in every.body
    assert guarded.ask("/openapi.json", key=READER).body == own.body
    assert guarded.ask("/docs", key=SCORER).status == 403
    assert b"hidden" not in guarded.ask("/docs", key=READER).body
    assert b"hidden" in guarded.ask("/docs", key=READ_ALL).body
