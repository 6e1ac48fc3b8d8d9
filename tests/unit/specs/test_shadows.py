"""Shadow tables are nobody's tables, and segments show nothing that is never shown."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstep.errors import SpecError
from lockstep.specs.loading import load_spec
from lockstep.specs.shadows import check_shadow_tables

SPEC: dict[str, Any] = {
    "model": {"name": "m"},
    "schedule": {"cron": "0 6 * * *", "start": "2024-01-01"},
    "input": {"table": {"path": "t"}},
    "partition": {"column": "day"},
    "key": ["day", "id"],
    "passthrough": ["depot"],
    "output": {"column": "risk"},
}


def write(root: Path, name: str, table: str, challengers: list[dict[str, str]], **trial: Any) -> Path:
    folder = root / name
    folder.mkdir()
    own = {"name": name, "publish": {"table": table}, **trial.pop("spec", {})}
    section = {"trial": {"challengers": challengers, **trial}} if challengers else {}
    (folder / "scoring.yaml").write_text(yaml.safe_dump({**SPEC, **own, **section}))
    return folder


def test_a_shadow_table_is_named_after_its_alias_or_as_the_spec_says(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, "a", "scores", [{"alias": "next"}, {"alias": "wide", "table": "aside"}])).spec
    assert spec.trial is not None
    assert spec.trial.shadow_tables(spec.publish.table) == ("scores_next", "aside")


@pytest.mark.parametrize(
    "challengers",
    [
        [{"alias": "next", "table": "scores"}],
        [{"alias": "next", "table": "SCORES"}],
        [{"alias": "next", "table": "scores_drift"}],
        [{"alias": "drift"}],
        [{"alias": "next"}, {"alias": "other", "table": "scores_next"}],
    ],
)
def test_tables_of_the_spec_itself_are_refused(tmp_path: Path, challengers: list[dict[str, str]]) -> None:
    with pytest.raises(SpecError, match="is another table of the spec, or of two challengers"):
        load_spec(write(tmp_path, "a", "scores", challengers))


def test_sensitive_columns_are_no_segments(tmp_path: Path) -> None:
    spec = {"sensitive": ["depot"]}
    with pytest.raises(SpecError, match=r"'trial\.segments' names 'depot', whose values are 'sensitive'"):
        load_spec(write(tmp_path, "a", "scores", [{"alias": "next"}], segments=["depot"], spec=spec))


def test_tables_of_other_specs_are_refused(tmp_path: Path) -> None:
    mine = write(tmp_path, "a", "scores", [{"alias": "next", "table": "theirs"}])
    check_shadow_tables(load_spec(mine))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "scoring.yaml").write_text("name: [")
    elsewhere = {"publish": {"table": "theirs", "warehouse": "postgresql"}}
    write(tmp_path, "c", "theirs", [], spec=elsewhere)
    check_shadow_tables(load_spec(mine))
    write(tmp_path, "b", "Theirs", [])
    with pytest.raises(SpecError, match="shadow table 'theirs' is a table of spec 'b'"):
        check_shadow_tables(load_spec(mine))
    write(tmp_path, "d", "own", [{"alias": "next", "table": "own_aside"}])
    other = write(tmp_path, "e", "more", [{"alias": "next", "table": "own_aside"}])
    with pytest.raises(SpecError, match="of spec 'd'"):
        check_shadow_tables(load_spec(other))
