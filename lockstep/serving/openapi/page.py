"""The document as one page for people: no script, nothing from elsewhere, everything escaped."""

import base64
import functools
import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from lockstep.serving.exchange import JSON
from lockstep.serving.openapi.outline import Line, kind_of, outline

TEMPLATE, STYLE = "page.html.j2", "page.css"
# Longer examples are shown, but not as part of a command.
COMMAND_CHARACTERS = 2000


@dataclass(frozen=True)
class Example:
    """A body that can be sent as it stands."""

    name: str
    text: str


@dataclass(frozen=True)
class Body:
    """One media type of a request or of an answer."""

    media_type: str
    lines: tuple[Line, ...]
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Parameter:
    """What a path or the head of a request holds."""

    name: str
    place: str
    kind: str
    required: bool
    description: str


@dataclass(frozen=True)
class Response:
    """What is answered with a status."""

    status: str
    description: str
    headers: tuple[str, ...]
    bodies: tuple[Body, ...]


@dataclass(frozen=True)
class Shown:
    """One operation, as the page has it."""

    id: str
    method: str
    path: str
    summary: str
    guarded: bool
    parameters: tuple[Parameter, ...]
    bodies: tuple[Body, ...]
    responses: tuple[Response, ...]
    command: str


def render_page(document: Mapping[str, Any]) -> str:
    """Render an OpenAPI document as HTML.

    Args:
        document: From `build_document`.
    """
    groups: dict[str, list[Shown]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            shown = _shown(document, operation, method.upper(), path)
            groups.setdefault(operation["tags"][0], []).append(shown)
    schemas = {name: tuple(outline(schema))[1:] for name, schema in document["components"]["schemas"].items()}
    kinds = {name: kind_of(schema) for name, schema in document["components"]["schemas"].items()}
    headers = {name: _resolved(document, each) for name, each in document["components"]["headers"].items()}
    page = _template().render(
        info=document["info"], groups=groups, schemas=schemas, kinds=kinds, headers=headers, style=_style()
    )
    return str(page)


@functools.cache
def policy() -> str:
    """Return the Content-Security-Policy of the page: its own style by its hash, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@functools.cache
def _style() -> str:
    return files("lockstep.serving.openapi").joinpath(STYLE).read_text(encoding="utf-8")


@functools.cache
def _template() -> Any:
    # Imported here: only who looks at the page needs it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("lockstep.serving.openapi", package_path="")
    env = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return env.get_template(TEMPLATE)


def _shown(document: Mapping[str, Any], operation: Mapping[str, Any], method: str, path: str) -> Shown:  # noqa: PLR0917
    content = operation.get("requestBody", {}).get("content", {})
    bodies = tuple(_bodies(content))
    parameters = [_resolved(document, each) for each in operation["parameters"]]
    guarded = bool(operation.get("security"))
    return Shown(
        operation["operationId"],
        method,
        path,
        operation["summary"],
        guarded,
        tuple(_parameter(each) for each in parameters),
        bodies,
        tuple(_response(status, _resolved(document, each)) for status, each in operation["responses"].items()),
        _command(method, _filled(path, parameters), bodies, guarded=guarded),
    )


def _resolved(document: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference within the document."""
    if "$ref" not in node:
        return node
    found: Any = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def _parameter(parameter: Mapping[str, Any]) -> Parameter:
    return Parameter(
        parameter["name"],
        parameter["in"],
        kind_of(parameter["schema"]),
        parameter.get("required", False),
        parameter.get("description", ""),
    )


def _response(status: str, response: Mapping[str, Any]) -> Response:
    bodies = tuple(_bodies(response.get("content", {})))
    return Response(status, response["description"], tuple(response.get("headers", {})), bodies)


def _bodies(content: Mapping[str, Any]) -> Iterator[Body]:
    for media_type, body in content.items():
        examples = tuple(Example(name, _text(each["value"])) for name, each in body.get("examples", {}).items())
        yield Body(media_type, tuple(outline(body["schema"])) if "schema" in body else (), examples)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _filled(path: str, parameters: Sequence[Mapping[str, Any]]) -> str:
    """Return a path with the first known value of each of its parameters, such as a model that is served."""
    for parameter in parameters:
        for value in parameter["schema"].get("enum", ())[:1]:
            path = path.replace("{" + parameter["name"] + "}", quote(value, safe=""))
    return path


def _command(method: str, path: str, bodies: tuple[Body, ...], *, guarded: bool) -> str:
    """Return a command that asks for the operation, with the first example that is short enough."""
    words = ["curl", *(["-X", method] if method != "GET" else [])]
    if guarded:
        words += ["-H", '"Authorization: Bearer $KEY"']
    if bodies:
        texts = [(each.media_type, example.text) for each in bodies for example in each.examples]
        kind, data = next((pair for pair in texts if len(pair[1]) <= COMMAND_CHARACTERS), (JSON, "@body.json"))
        if not texts:
            data = "{}"  # nothing is required in the bodies of operations without examples
        words += ["-H", shlex.quote(f"Content-Type: {kind}"), "--data-binary", shlex.quote(data)]
    return " ".join([*words, f'"$ENDPOINT{path}"'])
