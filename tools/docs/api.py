"""The reference of the Python API, from signatures and docstrings; griffe reads them without importing anything."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import griffe

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """A module whose public names are part of the API.

    Attributes:
        path: Dotted.
        names: In this order; none: its `__all__`.
    """

    path: str
    names: tuple[str, ...] = ()


MODULES = (
    Module("lockstep.airflow"),
    Module("lockstep.client"),
    Module("udfs"),
    Module("lockstep.registry.packaging"),
    Module("lockstep.errors", names=("LockstepError", "revive", "told")),
)
INTRODUCTION = """\
# Python API

What other code may import and rely on: the DAGs of a folder of specs, the client of the endpoint, the Spark functions,
what logs a model for Lockstep, and the root of the errors. Everything else is inside, and may change with a release."""


def reference(modules: Sequence[Module] = MODULES) -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for module in modules:
        parts += _module(visited(module.path), module)
    return "\n\n".join(part for part in parts if part) + "\n"


@cache
def visited(path: str) -> griffe.Module:
    """Return a module of the project, read by itself: a loader would read the whole package first."""
    file = ROOT.joinpath(*path.split("."))
    file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    module = griffe.visit(path, filepath=file, code=file.read_text(encoding="utf-8"), docstring_parser="google")
    griffe.DataclassesExtension().on_package(pkg=module)  # gives them the constructors that nobody wrote
    return module


def _defined(named: griffe.Object | griffe.Alias) -> griffe.Object:
    """Return what a name stands for, in the module that defines it."""
    while isinstance(named, griffe.Alias):
        module, _, name = named.target_path.rpartition(".")
        named = visited(module).members[name]
    return named


def _module(found: griffe.Module, module: Module) -> Iterator[str]:
    yield f"## {module.path}"
    yield from _docstring(found)
    names = module.names or tuple(str(name) for name in found.exports or ()) or _public(found)
    for name in names:
        yield from _item(found.members[name], heading=f"### {name}")


def _public(found: griffe.Module) -> tuple[str, ...]:
    members = found.members.items()
    own = ((name, member) for name, member in members if not name.startswith("_") and not member.is_alias)
    return tuple(name for name, member in own if member.is_function or member.is_class)


def _item(named: griffe.Object | griffe.Alias, *, heading: str) -> Iterator[str]:
    item = _defined(named)
    yield heading
    constructor = item.members.get("__init__") if item.is_class else item
    if isinstance(constructor, griffe.Function):
        yield _signature(item.name, constructor)
    yield from _docstring(item)
    if not item.is_class:
        return
    for name, member in item.members.items():
        if not name.startswith("_") and (member.is_function or "property" in member.labels):
            yield from _item(member, heading=f"#### {item.name}.{name}")


def _signature(name: str, function: griffe.Function) -> str:
    """Return how a function is called; one parameter a line where one line would be long."""
    shown = [parameter for parameter in function.parameters if parameter.name not in ("self", "cls")]
    parts, is_keyword = [], False
    for parameter in shown:
        if parameter.kind is griffe.ParameterKind.keyword_only and not is_keyword:
            is_keyword = True
            if not any(other.kind is griffe.ParameterKind.var_positional for other in shown):
                parts.append("*")
        stars = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}
        annotation = f": {parameter.annotation}" if parameter.annotation is not None else ""
        default = f" = {parameter.default}" if parameter.default is not None and parameter.kind not in stars else ""
        parts.append(f"{stars.get(parameter.kind, '')}{parameter.name}{annotation}{default}")
    returns = f" -> {function.returns}" if function.returns is not None and function.name != "__init__" else ""
    line = f"{name}({', '.join(parts)}){returns}"
    if len(line) > 88:
        line = f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"
    return f"```python\n{line}\n```"


def _docstring(item: griffe.Object | griffe.Alias) -> Iterator[str]:
    if item.docstring is None:
        return
    for section in item.docstring.parse("google", warnings=False):
        value = section.value
        if section.kind is griffe.DocstringSectionKind.text:
            yield _text(value)
        elif section.kind in (griffe.DocstringSectionKind.parameters, griffe.DocstringSectionKind.attributes):
            title = "Arguments" if section.kind is griffe.DocstringSectionKind.parameters else "Attributes"
            yield f"{title}:\n\n" + "\n".join(f"- `{_names(entry)}`: {_line(entry.description)}" for entry in value)
        elif section.kind is griffe.DocstringSectionKind.returns:
            yield "Returns: " + " ".join(_line(entry.description) for entry in value)
        elif section.kind is griffe.DocstringSectionKind.raises:
            yield "Raises:\n\n" + "\n".join(
                f"- `{_listed(entry.annotation)}`: {_line(entry.description)}" for entry in value
            )
        elif section.kind is griffe.DocstringSectionKind.admonition:
            yield f"{section.title or value.annotation}:\n\n```python\n{value.description}\n```"


def _names(entry: griffe.DocstringNamedElement) -> str:
    """Return the names of an entry; griffe takes the further ones of `a, b: text` for a type."""
    return f"{entry.name} {_listed(entry.annotation)}" if entry.name.endswith(",") else str(entry.name)


def _listed(annotation: object) -> str:
    """Return several names without the brackets that griffe puts around them."""
    return str(annotation).removeprefix("(").removesuffix(")")


def _text(text: str) -> str:
    return re.sub(r"(?m)^(?: {4}.*\n?)+", lambda code: f"```python\n{_set_out(code.group())}\n```\n", text)


def _set_out(text: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in text.rstrip().splitlines())


def _line(text: str) -> str:
    return " ".join(text.split())
