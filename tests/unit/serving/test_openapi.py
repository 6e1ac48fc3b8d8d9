"""The description of the endpoint is complete: all routes and nothing else, and what it says of bodies is true."""

import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from lockstep.run.plan import Column, ModelIdentity
from lockstep.scoring.scorer import Scorer
from lockstep.serving import assembly
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.exchange import CSV, JSON, OCTETS, PARQUET
from lockstep.serving.features.lookup import OnlineReader
from lockstep.serving.fleet import ModelSlot
from lockstep.serving.lane import ScoringLane
from lockstep.serving.lookups import LookupTable
from lockstep.serving.openapi.document import SECURITY_SCHEMES, build_document
from lockstep.serving.openapi.operations import OPERATIONS
from lockstep.serving.openapi.view import View
from lockstep.serving.router import Route
from lockstep.serving.versions import LoadedVersion
from lockstep.specs.serving_spec import ServedModel, Serving
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ModelRef
from tests.unit.serving.toy import BLOCK_ROWS, IDENTITY, ROW, SIGNATURE, ToyBackend, call

METHODS = {"get", "post", "put", "delete", "patch", "head", "options", "trace"}
INFER = "/v2/models/toy/infer"


def loaded(identity: ModelIdentity = IDENTITY) -> LoadedVersion:
    scorer = Scorer(ToyBackend(), SIGNATURE, block_rows=BLOCK_ROWS)
    return LoadedVersion(identity, scorer, ScoringLane(scorer))


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The endpoint as it is put together for a server, over the toy model."""
    monkeypatch.setattr(assembly, "resolve", lambda *_, **__: IDENTITY)
    monkeypatch.setattr(assembly, "load_version", lambda *_, **__: loaded())
    tables = {"toy": LookupTable(cast("OnlineReader", None), "scores")}
    monkeypatch.setattr(assembly.ServedFeatures, "tables", lambda *_: tables)
    serving = Serving(models=(ServedModel(model=ModelRef(name="toy")),))
    settings = Settings.from_env({"LOCKSTEP_HOME": str(tmp_path)})
    return assembly.build_endpoint(serving, settings, folder=tmp_path).app


@pytest.fixture
def document(whole: Any) -> Any:
    return call(whole, "/openapi.json").json()


def validator(document: Any, schema: Any) -> Draft202012Validator:
    """Check values against a schema of the document."""
    root = Resource.from_contents({"$schema": "https://json-schema.org/draft/2020-12/schema", **document})
    absolute = json.loads(json.dumps(schema).replace('"#/', '"urn:document#/'))
    return Draft202012Validator(absolute, registry=Registry().with_resource("urn:document", root))


def accepts(document: Any, schema: Any, value: Any) -> bool:
    return bool(validator(document, schema).is_valid(value))


def described_routes(document: Any) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}


def references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for each in node for found in references(each)]
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for each in node.values() for found in references(each)]
    return []


def body_schema(document: Any, path: str, kind: str = JSON) -> Any:
    return document["paths"][path]["post"]["requestBody"]["content"][kind]["schema"]


def answer_schema(document: Any, path: str, status: int, *, method: str = "post") -> Any:
    response = document["paths"][path][method]["responses"][str(status)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return response["content"][JSON]["schema"]


def test_every_route_is_described_and_nothing_else(whole: Any, document: Any) -> None:
    routes = {(route.method, route.path) for route in whole.router.routes}
    assert described_routes(document) == routes
    assert set(OPERATIONS) == routes, "an operation without a route"


def test_the_document_holds_together(document: Any) -> None:
    assert document["openapi"].startswith("3.1.")
    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    for name, schema in document["components"]["schemas"].items():
        assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)
        Draft202012Validator.check_schema(schema)
    ids = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(set(ids)) == len(ids)
    assert all(set(methods) <= METHODS for methods in document["paths"].values())


def test_every_parameter_of_a_path_is_described(document: Any) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            named = {each["name"] for each in operation["parameters"] if each.get("in") == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


@pytest.mark.parametrize("path", ["/invocations", "/endpoints/{name}/invocations", "/v2/models/{name}/infer"])
def test_its_examples_are_valid_and_answered_as_it_says(path: str, whole: Any, document: Any) -> None:
    content = document["paths"][path]["post"]["requestBody"]["content"]
    asked = path.replace("{name}", "toy")
    for kind in content.keys() & {JSON, CSV}:
        examples = content[kind]["examples"]
        assert examples
        for example in examples.values():
            assert accepts(document, content[kind]["schema"], example["value"])
            sent = example["value"] if kind == CSV else json.dumps(example["value"])
            answer = call(whole, asked, sent.encode(), headers={"content-type": kind})
            assert answer.status == 200, answer.body
            validator(document, answer_schema(document, path, 200)).validate(answer.json())


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"carrier": None}, True),
        ({"note": "x"}, True),
        ({"colour": "red"}, True),
        ({"seats": 1.0}, True),
        ({"distance": 10**300}, True),
        ({"seats": None}, False),
        ({"seats": 2**31}, False),
        ({"seats": 1.5}, False),
        ({"flight": 2**63}, False),
        ({"rate": 1e39}, False),
        ({"rate": 3.4028235e38}, True),
        ({"wet": 1}, False),
        ({"wet": None}, False),
        ({"carrier": 1}, False),
        ({"distance": "1"}, False),
        ({"at": 1375334100}, False),
    ],
)
def test_schema_and_endpoint_agree_on_a_row(change: dict[str, Any], valid: bool, whole: Any, document: Any) -> None:
    row = {**ROW, **change}
    split = {"columns": SIGNATURE.names, "data": [[row[name] for name in SIGNATURE.names]]}
    forms = {"dataframe_records": [row], "instances": [row], "inputs": {name: [row[name]] for name in row}}
    for form, rows in {**forms, "dataframe_split": split}.items():
        body = {form: rows}
        assert accepts(document, body_schema(document, "/invocations"), body) is valid
        answer = call(whole, "/invocations", json.dumps(body).encode(), headers={"content-type": JSON})
        assert answer.status == (200 if valid else 400), answer.body
        validator(document, answer_schema(document, "/invocations", answer.status)).validate(answer.json())


def test_a_body_has_exactly_one_form(document: Any) -> None:
    schema = body_schema(document, "/invocations")
    assert accepts(document, schema, {"instances": [], "params": {}, "anything": 1})
    for wrong in ({}, [], {"instances": [], "inputs": []}, {"dataframe_records": [{}]}, {"dataframe_split": {}}):
        assert not accepts(document, schema, wrong)


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"datatype": "FP32"}, True),
        ({"datatype": "INT8", "data": [-128]}, True),
        ({"shape": [1, 1], "data": [[1.5]]}, True),
        ({"data": [None]}, True),
        ({"datatype": "INT8", "data": [128]}, False),
        ({"datatype": "INT64", "data": [1.5]}, False),
        ({"datatype": "UINT64", "data": [-1]}, False),
        ({"datatype": "FP16", "data": [65520]}, False),
        ({"datatype": "BF16", "data": [3.4e38]}, False),
        ({"datatype": "BYTES"}, False),
        ({"shape": [1, 2]}, False),
        ({"shape": [-1]}, False),
        ({"data": "x"}, False),
        ({"data": ["1"]}, False),
    ],
)
def test_schema_and_endpoint_agree_on_a_tensor(change: dict[str, Any], valid: bool, whole: Any, document: Any) -> None:
    example = document["paths"]["/v2/models/{name}/infer"]["post"]["requestBody"]["content"][JSON]["examples"]
    (request,) = [each["value"] for each in example.values()]
    tensors = [{**each, **change} if each["name"] == "distance" else each for each in request["inputs"]]
    body = {**request, "inputs": tensors}
    assert accepts(document, body_schema(document, "/v2/models/{name}/infer"), body) is valid
    answer = call(whole, INFER, json.dumps(body).encode(), headers={"content-type": JSON})
    assert answer.status == (200 if valid else 400), answer.body
    validator(document, answer_schema(document, "/v2/models/{name}/infer", answer.status)).validate(answer.json())


@pytest.mark.parametrize(("method", "path"), sorted(key for key in OPERATIONS if key[0] == "GET"))
def test_what_is_read_is_as_it_says(method: str, path: str, whole: Any, document: Any) -> None:
    answer = call(whole, path.replace("{name}", "toy").replace("{version}", "3"))
    response = document["paths"][path][method.lower()]["responses"]["200"]
    (kind,) = response["content"]
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, kind)
    schema = response["content"][kind].get("schema")
    if kind == JSON and schema is not None:
        validator(document, schema).validate(answer.json())
    for name, reference in response["headers"].items():
        header = document["components"]["headers"][reference["$ref"].rpartition("/")[2]]
        assert name.lower() in answer.headers or not header.get("required")


@pytest.mark.parametrize("path", ["/invocations", INFER])
def test_media_types_are_those_that_the_edges_read(path: str, whole: Any, document: Any) -> None:
    template = path.replace("toy", "{name}")
    described = set(document["paths"][template]["post"]["requestBody"]["content"])
    kinds = (JSON, CSV, OCTETS, PARQUET, "text/plain", "application/x-ndjson")
    read = {kind for kind in kinds if call(whole, path, b"{}", headers={"content-type": kind}).status != 415}
    assert described == read


def test_the_document_follows_the_served_version(plane: DataPlane, app: Any) -> None:
    first = call(app, "/openapi.json").json()
    assert call(app, "/openapi.json").json() == first
    slot = plane.fleet.slot("toy")
    slot.swap(loaded(IDENTITY.model_copy(update={"version": 4, "digest": "e" * 64})))
    document = call(app, "/openapi.json").json()
    assert body_schema(document, "/invocations") == {"$ref": "#/components/schemas/toy.4.Invocations"}
    version = document["paths"]["/v2/models/{name}/versions/{version}"]["get"]["parameters"][1]
    assert version["schema"]["enum"] == ["3", "4"]
    for dropped in slot.unload():
        dropped.lane.close()
    assert call(app, "/openapi.json").json()["paths"].keys() == document["paths"].keys()


def test_names_that_are_no_names_of_components_stay_apart() -> None:
    odd = [IDENTITY.model_copy(update={"name": name}) for name in ("a/b", "a b", "ä")]
    view = View([ModelSlot(each.name, current=loaded(each)) for each in odd])
    assert len(view.schemas) == 5 * len(odd)
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", name) for name in view.schemas)
    assert len(view.schema("Invocations", "current")["anyOf"]) == len(odd)
    assert "$ref" not in view.schema("Invocations", "default"), "there is no default model"


def test_tensor_columns_are_nested_or_flat() -> None:
    picture = Column(name="picture", dtype="float", shape=(2, 3))
    identity = IDENTITY.model_copy(update={"inputs": (picture,), "outputs": (picture,)})
    view = View([ModelSlot("toy", current=loaded(identity))])
    document = build_document([], view)
    rows = document["components"]["schemas"]["toy.3.Invocations"]
    nested, flat = [[1, 2, 3], [4, 5, None]], [1, 2, 3, 4, 5, None]
    assert accepts(document, rows, {"instances": [nested, flat]})
    assert accepts(document, rows, {"dataframe_records": [{"picture": nested}, {"picture": flat}]})
    assert not accepts(document, rows, {"instances": [[1, 2, 3]]})
    predictions = document["components"]["schemas"]["toy.3.Predictions"]
    assert accepts(document, predictions, {"predictions": [{"picture": [[1, 2, 3], [4, 5, 6]]}]})
    assert not accepts(document, predictions, {"predictions": [{"picture": nested}]}), "an answer has no null"


def test_a_guarded_endpoint_says_who_may_ask(whole: Any) -> None:
    view = View([*whole.plane.fleet])
    document = build_document(whole.router.routes, view, open_roles=(), known=True)
    assert document["components"]["securitySchemes"].keys() == SECURITY_SCHEMES.keys()
    for route in whole.router.routes:
        operation = document["paths"][route.path][route.method.lower()]
        assert ("security" in operation) == (route.action is not None)
        assert ({"401", "403", "429"} <= operation["responses"].keys()) == (route.action is not None)
    assert "securitySchemes" not in build_document(whole.router.routes, view)["components"]


def test_a_route_that_nobody_described_is_left_out(whole: Any) -> None:
    stranger = Route("GET", "/stranger", whole.router.routes[0].handler)
    assert "/stranger" not in build_document([stranger], View([*whole.plane.fleet]))["paths"]
