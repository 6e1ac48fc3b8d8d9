"""Read spec files; every problem names the file, the line and the key."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from lockstep.errors import SpecError
from lockstep.errors.suggestions import did_you_mean
from lockstep.specs.missing import why_missing
from lockstep.specs.spec import ScoringSpec

SPEC_FILE = "scoring.yaml"

Location = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class LoadedSpec:
    """A valid spec and the folder it came from, against which its relative paths resolve."""

    spec: ScoringSpec
    folder: Path

    def file(self, relative: str) -> Path:
        """Return a file that the spec names, or raise `SpecError` when it is not there."""
        path = self.folder / relative
        if not path.is_file():
            raise SpecError(str(self.folder / SPEC_FILE), [f"file {relative!r} does not exist (looked for {path})"])
        return path


# libyaml where PyYAML has it, as its wheels do: Airflow reads all specs every half minute.
_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeyLoader(_SafeLoader):  # type: ignore[valid-type,misc]
    """SafeLoader that refuses a key given twice (YAML would keep the last one silently)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                problem = f"key {key_node.value!r} is given twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
            seen.add(key_node.value)
        return dict(super().construct_mapping(node, deep))


def _lines(node: yaml.Node | None, at: Location = ()) -> Iterator[tuple[Location, int]]:
    if node is None:
        return
    yield at, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*at, key.value), key.start_mark.line + 1
            if not isinstance(value, yaml.ScalarNode):
                yield from ((loc, line) for loc, line in _lines(value, (*at, key.value)) if loc != (*at, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _lines(item, (*at, index))


def _nearest_line(lines: Mapping[Location, int], loc: Location) -> int:
    while loc not in lines and loc:
        loc = loc[:-1]
    return lines.get(loc, 1)


def _describe(error: ValidationError, lines: Mapping[Location, int], model: type[BaseModel]) -> list[str]:
    problems = []
    for item in error.errors(include_url=False, include_input=False):
        loc = tuple(part for part in item["loc"] if part != "[key]")
        key = ".".join(str(part) for part in loc) or "(whole file)"
        text = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            known = _known_keys(model, loc[:-1])
            text = f"unknown key; known keys here: {', '.join(known)}"
            guess = did_you_mean(str(loc[-1]), known)
            text += f".{guess}" if guess else ""
        elif item["type"] == "missing":
            text = "required key is missing"
        problems.append(f"line {_nearest_line(lines, loc)}, key {key}: {text}")
    return problems


def _known_keys(model: type[BaseModel], loc: Location) -> list[str]:
    current: Any = model
    for part in loc:
        field = current.model_fields.get(str(part)) if hasattr(current, "model_fields") else None
        if field is None:
            continue
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        current = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), current)
    return sorted(current.model_fields)


def read_yaml(path: Path) -> tuple[Any, Callable[[], dict[Location, int]]]:
    """Read a YAML file.

    Args:
        path: The file.

    Returns:
        The document, and what gives the 1-based line number of each key's location.

    Raises:
        SpecError: The file is unreadable or not YAML.
    """
    try:
        loader = _UniqueKeyLoader(path.read_text(encoding="utf-8"))
        try:
            node = loader.get_single_node()
            document = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
        return document, lambda: dict(_lines(node))
    except FileNotFoundError as error:
        raise SpecError(str(path), ["file does not exist"]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(str(path), [f"file cannot be read: {error}"]) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        began = f" ({error.context}, begun on line {error.context_mark.line + 1})" if error.context_mark else ""
        raise SpecError(str(path), [f"line {line}: not valid YAML: {error.problem}{began}"]) from error
    except yaml.YAMLError as error:
        raise SpecError(str(path), [f"not valid YAML: {error}"]) from error


def validate(model: type[ModelT], path: Path) -> ModelT:
    """Read a YAML file into a pydantic model, or raise `SpecError` with file, line and key of every problem."""
    document, lines = read_yaml(path)
    if not isinstance(document, dict):
        raise SpecError(str(path), [f"expected a mapping of keys, got {type(document).__name__}"])
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise SpecError(str(path), _describe(error, lines(), model)) from error


def load_spec(path: Path) -> LoadedSpec:
    """Load one spec from its file or its folder.

    Raises:
        SpecError: The file is missing or invalid, or its name is not that of its folder.
    """
    file = path / SPEC_FILE if path.is_dir() else path
    spec = validate(ScoringSpec, file)
    if spec.name != file.resolve().parent.name:
        problem = f"key name: {spec.name!r} must equal the folder's name {file.resolve().parent.name!r}"
        raise SpecError(str(file), [problem])
    return LoadedSpec(spec, file.parent)


def find_spec(models_root: Path, name: str) -> LoadedSpec:
    """Load the spec called `name`; an unknown name says what may have been meant.

    Raises:
        SpecError: There is none, or it is invalid.
    """
    file = models_root / name / SPEC_FILE
    if not file.is_file() or Path(name).name != name:
        known = [path.parent.name for path in spec_files(models_root)]
        raise SpecError(str(file), [why_missing(models_root, name, known=known, file=SPEC_FILE)])
    return load_spec(file)


def spec_files(models_root: Path) -> list[Path]:
    """Return all spec files, in name order."""
    return sorted(models_root.glob(f"*/{SPEC_FILE}"))


def json_schema() -> str:
    """Return the JSON Schema of a scoring spec, for editors."""
    return json.dumps(ScoringSpec.model_json_schema(), indent=2)
