"""Classes, codes, texts and page are in step: a class without an entry fails, and so does an entry without a class."""

import ast
import importlib
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lockstep.errors import LockstepError, told
from lockstep.errors.index import FAMILIES, Entry, errors_index
from lockstep.run.exit_codes import exit_code
from tools import errors_page

ROOT = Path(errors_page.__file__).parent.parent
FOLDERS = ("lockstep", "udfs", "jobs")
INDEX = errors_index()


def classes_in(text: str) -> Iterator[tuple[str, set[str]]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            yield node.name, {ast.unparse(base).rpartition(".")[2] for base in node.bases}


def modules_with_errors() -> set[str]:
    """Modules that define a class whose bases, by name and however far up, include LockstepError."""
    texts = {path: path.read_text() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    found = {path: list(classes_in(text)) for path, text in texts.items() if "class " in text}
    known = {"LockstepError"}
    while new := {name for classes in found.values() for name, bases in classes if bases & known} - known:
        known |= new
    paths = (path for path, classes in found.items() if any(bases & known for _, bases in classes))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}


def all_errors() -> set[type[LockstepError]]:
    modules = modules_with_errors() | {"lockstep.errors.base"}
    for name in modules:
        importlib.import_module(name)
    found, waiting = {LockstepError}, [LockstepError]
    while waiting:
        new = [kind for kind in waiting.pop().__subclasses__() if kind not in found]
        found.update(new)
        waiting += new
    return {kind for kind in found if kind.__module__ in modules}


ERRORS = all_errors()


def test_the_search_finds_classes_everywhere() -> None:
    places = {kind.__module__.split(".")[1] for kind in ERRORS}
    assert {"errors", "publish", "serving", "services", "client", "data", "scoring"} <= places
    assert len(ERRORS) >= 141


def test_every_class_has_an_entry_and_every_entry_a_class() -> None:
    declared = {kind.code: errors_page.named(kind) for kind in ERRORS}
    assert {code: entry.error for code, entry in INDEX.entries.items()} == declared


def test_every_class_declares_a_code_of_its_own() -> None:
    assert [kind for kind in ERRORS if "code" not in vars(kind)] == []
    counts = Counter(kind.code for kind in ERRORS)
    assert {code: count for code, count in counts.items() if count > 1} == {}


def test_no_code_is_lost_or_given_again() -> None:
    used = [*INDEX.entries, *INDEX.retired]
    assert len(set(used)) == len(used)
    for digit in FAMILIES:
        numbers = sorted(int(code[3:]) for code in used if code[2] == digit)
        assert numbers == list(range(1, len(numbers) + 1)), f"LS{digit}...: a code that goes is listed under retired"


@pytest.mark.parametrize("kind", sorted(ERRORS, key=lambda kind: kind.code), ids=lambda kind: kind.code)
def test_the_first_digit_is_the_exit_code(kind: type[LockstepError]) -> None:
    assert re.fullmatch(r"LS[1-9]\d{3}", kind.code)
    error = kind.__new__(kind)
    error.retryable = False
    assert str(exit_code(error)) == kind.code[2]


def test_index_and_page_say_what_the_classes_say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["errors_page", "--check"])
    assert errors_page.main() == 0, capsys.readouterr().out


def test_each_class_has_one_example() -> None:
    names = [errors_page.named(type(error)) for error in (*errors_page.EXAMPLES, *errors_page.ENDPOINT_EXAMPLES)]
    assert sorted(names) == sorted(entry.error for entry in INDEX.entries.values())


@pytest.mark.parametrize("entry", INDEX.entries.values(), ids=lambda entry: entry.code)
def test_texts_help_a_stranger(entry: Entry) -> None:
    assert len(entry.cause) > 40
    assert len(entry.remedy) > 20
    assert entry.cause.endswith(".")
    assert entry.remedy.endswith(".")
    assert not entry.see or (ROOT / "docs" / entry.see).is_file()


def test_a_stale_example_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = yaml.safe_load(errors_page.INDEX.read_text())
    content["errors"]["LS5002"]["example"] = "what it said a year ago"
    stale = tmp_path / "index.yaml"
    stale.write_text(yaml.safe_dump(content))
    monkeypatch.setattr(errors_page, "INDEX", stale)
    monkeypatch.setattr(errors_page, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["errors_page", "--check"])
    assert errors_page.main() == 1


def test_an_entry_without_a_class_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"LS5099: no example of lockstep\.errors:Gone"):
        errors_page.completed({"LS5099": {"error": "lockstep.errors:Gone", "cause": "", "remedy": ""}})


def test_a_command_tells_code_and_where_there_is_more() -> None:
    class Theirs(LockstepError):
        pass

    assert told(Theirs("no")) == "lockstep: error: [LS1001] no\n  more: lockstep explain LS1001"
