"""The page of the API: complete, escaped, without anything from elsewhere, and its commands work."""

import base64
import hashlib
import json
import re
import shlex
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest

from lockstep.run.plan import Column
from lockstep.serving.fleet import ModelSlot
from lockstep.serving.openapi.document import SECURITY_SCHEMES, build_document
from lockstep.serving.openapi.operations import OPERATIONS
from lockstep.serving.openapi.outline import MOST_DEPTH, kind_of, outline
from lockstep.serving.openapi.page import policy, render_page
from lockstep.serving.openapi.view import View
from lockstep.serving.router import Route
from tests.unit.serving.test_openapi import loaded
from tests.unit.serving.toy import IDENTITY, INPUTS, call

HOSTILE = "<script>alert('1')</script>\"&"
VOID = {"meta", "br", "link", "img", "input"}


class Page(HTMLParser):
    """What a browser would make of the page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: Counter[str] = Counter()
        self.commands: list[str] = []
        self.style = ""
        self.text = ""
        self._open: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        assert not any(name.startswith("on") or name in {"src", "style", "srcset"} for name in found)
        self.tags[tag] += 1
        if "id" in found:
            self.ids.append(found["id"])
        if "href" in found:
            self.links.append(found["href"])
        if tag not in VOID:
            self._open.append((tag, found.get("class", "")))
        if found.get("class") == "command":
            self.commands.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tag, kind = self._open[-1] if self._open else ("", "")
        if tag == "style":
            self.style += data
        elif kind == "command":
            self.commands[-1] += data
        self.text += data


@pytest.fixture
def page(app: Any) -> Page:
    return Page(call(app, "/docs").body.decode())


def test_it_comes_as_a_page_that_may_load_nothing(app: Any, page: Page) -> None:
    answer = call(app, "/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    allowed = answer.headers["content-security-policy"]
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert allowed.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert allowed == policy()
    assert "url(" not in page.style
    assert not page.tags.keys() & {"script", "link", "img", "iframe", "form", "object", "base"}
    assert call(app, "/").body == answer.body


def test_every_operation_and_schema_has_its_place(app: Any, page: Page) -> None:
    document = call(app, "/openapi.json").json()
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    wanted = {each["operationId"] for each in operations}
    wanted |= {f"schema-{name}" for name in document["components"]["schemas"]}
    assert wanted <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    assert all(each["summary"] in page.text for each in operations)
    assert len(page.commands) == len(operations)
    inner = [link.removeprefix("#") for link in page.links if link != "/openapi.json"]
    assert set(inner) <= set(page.ids)
    assert not [link for link in page.links if not link.startswith(("#", "/"))]


def test_what_a_model_takes_is_on_it(page: Page) -> None:
    for column in INPUTS:
        assert column.name in page.text
    assert "The model has no finite score for some row" in page.text


def sent(command: str) -> tuple[str, str, dict[str, str], bytes | None]:
    words = shlex.split(command.replace("$ENDPOINT", ""))
    assert words.pop(0) == "curl"
    method, headers, body = "GET", {}, None
    while len(words) > 1:
        option, value = words.pop(0), words.pop(0)
        if option == "-X":
            method = value
        elif option == "-H":
            name, _, text = value.partition(": ")
            headers[name] = text
        else:
            assert option == "--data-binary"
            body = value.encode()
    return method, words[0], headers, body


def test_the_commands_work(app: Any, page: Page) -> None:
    asked = set()
    for command in page.commands:
        method, path, headers, body = sent(command)
        assert "{" not in path
        answer = call(app, path, body, headers=headers, method=method)
        assert answer.status == 200, (command, answer.body)
        asked.add(path)
    assert {"/invocations", "/v2/models/toy/infer", "/v2/models/toy/versions/3/infer", "/metrics"} <= asked


def hostile() -> dict[str, Any]:
    column = Column(name=HOSTILE, dtype="string")
    slots = []
    for name in (HOSTILE, "other"):
        identity = IDENTITY.model_copy(update={"name": name, "inputs": (column,), "outputs": (column,)})
        slots.append(ModelSlot(name, current=loaded(identity)))
    routes = [Route(method, path, lambda _: None, action="infer") for method, path in OPERATIONS]  # type: ignore[arg-type, return-value]
    return build_document(routes, View(slots, default=HOSTILE), open_roles=(), known=True)


def test_names_cannot_become_markup() -> None:
    text = render_page(hostile())
    found = Page(text)
    assert "<script" not in text
    assert HOSTILE in found.text
    assert found.tags["script"] == 0
    bodies = []
    for command in found.commands:
        method, path, headers, body = sent(command)
        assert HOSTILE not in path
        assert headers["Authorization"] == "Bearer $KEY"
        assert (method == "POST") is (body is not None)
        bodies.append((body or b"").decode())
    assert any(json.dumps(HOSTILE) in body for body in bodies)


def test_a_secured_endpoint_says_what_needs_a_key() -> None:
    assert SECURITY_SCHEMES.keys() == hostile()["components"]["securitySchemes"].keys()
    assert len(re.findall("Needs an API key or a token", render_page(hostile()))) == len(OPERATIONS)


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (True, "anything"),
        (False, "must not be there"),
        ({}, "anything"),
        ({"const": "x"}, '"x"'),
        ({"enum": ["a", 1]}, '"a" | 1'),
        ({"enum": list(range(20))}, "0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 or 8 more"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number or null"),
        ({"anyOf": [{"type": "object", "properties": {}}, {"type": "null"}]}, "one of these or null"),
        ({"type": ["string", "null"], "pattern": "^a$"}, "string or null, matches ^a$"),
        ({"type": "integer", "minimum": 0, "exclusiveMaximum": 9}, "integer, ≥ 0, < 9"),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 3, "maxItems": 3}, "array of boolean, 3 items"),
        ({"type": "array", "minItems": 1}, "array, at least 1 items"),
        ({"$ref": "#/components/schemas/toy.3.Metadata"}, "toy.3.Metadata"),
    ],
)
def test_types_in_words(schema: Any, kind: str) -> None:
    assert kind_of(schema) == kind


def test_an_outline_ends() -> None:
    schema: dict[str, Any] = {"type": "object"}
    schema["properties"] = {"again": schema, "never": False}
    lines = list(outline(schema))
    assert [line.depth for line in lines] == list(range(MOST_DEPTH + 1))
