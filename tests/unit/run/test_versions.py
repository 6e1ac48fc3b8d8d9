"""Digests of code and lock, and what differs between two interpreters."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.run.versions import (
    CODE,
    LIBRARIES,
    LOCK,
    code_digest,
    differences,
    imported_code_digest,
    lock_digest,
    versions_here,
)

ROOT = Path(__file__).parents[3]
VERSIONS = st.dictionaries(st.sampled_from(["python", "torch", CODE, LOCK]), st.sampled_from(["1", "2", "none"]))


def test_what_is_here_is_named_without_a_build() -> None:
    here = versions_here()
    assert here["torch"] == "2.13.0"
    assert {"python", CODE, *LIBRARIES} <= here.keys()
    assert here[CODE] == imported_code_digest() == code_digest(ROOT)
    assert differences(here, here) == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("lockstep", "udfs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_code_is_its_modules_wherever_they_lie(copy: Path) -> None:
    assert code_digest(copy) == code_digest(ROOT)
    (copy / "lockstep" / "notes.txt").write_text("no module")
    (copy / "lockstep" / "run" / ".queue.py").write_text("an editor's")
    assert code_digest(copy) == code_digest(ROOT)


@pytest.mark.parametrize("module", ["lockstep/errors/base.py", "udfs/bulk.py"])
def test_any_changed_moved_or_missing_module_is_other_code(copy: Path, module: str) -> None:
    before = {code_digest(copy)}
    with (copy / module).open("a") as file:
        file.write("\n")
    before.add(code_digest(copy))
    (copy / module).rename((copy / module).with_name("moved.py"))
    before.add(code_digest(copy))
    (copy / module).with_name("moved.py").unlink()
    before.add(code_digest(copy))
    assert len(before) == 4


def test_comments_and_order_of_a_lock_do_not_count(tmp_path: Path) -> None:
    texts = ["# by hand\na==1\nb==2\n", "b==2\n\na==1\n", "a==1\nb==3\n"]
    digests = []
    for text in texts:
        (tmp_path / "x.lock").write_text(text)
        digests.append(lock_digest(tmp_path / "x.lock"))
    assert digests[0] == digests[1] != digests[2]


@given(expected=VERSIONS, found=VERSIONS)
def test_each_expected_version_is_compared(expected: dict[str, str], found: dict[str, str]) -> None:
    told = differences(expected, found)
    for name, version in expected.items():
        got = found.get(name, "none")
        unknown_lock = name == LOCK and name not in found
        line = f"  {name}: expected {version}, found {got}"
        assert (line in told) == (version != got and not unknown_lock)
    assert len(told) <= len(expected)
