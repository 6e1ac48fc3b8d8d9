import csv
import datetime as dt
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lockstep.cli.report import app
from lockstep.errors import PublishError
from lockstep.publish.sql.duckdb_connection import Patience, connected

COLUMNS = 'day DATE, "at" TIMESTAMPTZ, carrier VARCHAR, share DOUBLE, n BIGINT, price DECIMAL(6, 2)'
FIRST = "(DATE '2013-08-01', '2013-08-02 01:00:00+00', 'AA', 0.25, 3, 1.5)"
SECOND = "(DATE '2013-08-02', NULL, NULL, 'nan', NULL, NULL)"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCKSTEP_HOME", str(tmp_path))
    monkeypatch.setenv("LOCKSTEP_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("LOCKSTEP_WAREHOUSE", raising=False)
    monkeypatch.setenv("LOCKSTEP_WAREHOUSE_WAIT_S", "1")
    return tmp_path


@pytest.fixture
def warehouse(home: Path) -> Path:
    path = home / "warehouse.duckdb"
    with connected(path, Patience(0)) as connection:
        connection.execute(f"CREATE TABLE daily ({COLUMNS}); INSERT INTO daily VALUES {FIRST}, {SECOND}")
        connection.execute("CREATE TABLE long AS SELECT range AS n FROM range(100); CREATE TABLE none (x INTEGER)")
    return path


def run(*args: str) -> str:
    result = CliRunner().invoke(app, ["table", *args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_json_has_the_values(warehouse: Path) -> None:
    assert json.loads(run("daily", "--json")) == [
        {
            "day": "2013-08-01",
            "at": "2013-08-02T01:00:00+00:00",
            "carrier": "AA",
            "share": 0.25,
            "n": 3,
            "price": "1.50",
        },
        {"day": "2013-08-02", "at": None, "carrier": None, "share": None, "n": None, "price": None},
    ]


def test_csv_has_a_header_and_all_rows(warehouse: Path) -> None:
    rows = list(csv.reader(io.StringIO(run("long", "--csv"))))
    assert rows == [["n"], *([str(n)] for n in range(100))]
    assert run("long", "--csv", "--limit", "1") == "n\n0\n"


def test_the_screen_shows_a_table_that_is_never_cut(warehouse: Path) -> None:
    text = run("daily")
    assert all(word in text for word in ["carrier", "2013-08-01", "2013-08-02 01:00", "0.2500"])
    assert "…" not in text
    assert "the first 40 rows; --limit N shows more" in run("long")
    assert "first" not in run("long", "--limit", "100")
    assert "no rows" in run("none")


def test_an_unknown_name_lists_the_known_ones(warehouse: Path) -> None:
    result = CliRunner().invoke(app, ["table", "nope"])
    assert result.exit_code == 2
    assert "it has: daily, long" in " ".join(result.output.replace("│", " ").split())


def test_without_a_warehouse_it_says_so_and_makes_none(home: Path) -> None:
    with pytest.raises(PublishError, match=r"there is no warehouse at .* yet"):
        run("daily")
    assert list(home.iterdir()) == []


def test_csv_and_json_exclude_each_other(warehouse: Path) -> None:
    assert CliRunner().invoke(app, ["table", "daily", "--csv", "--json"]).exit_code == 2


@pytest.mark.parametrize("arguments", [[], ["--date", "2024-03-05"]])
def test_refresh_recomputes_the_reporting_tables(home: Path, arguments: list[str]) -> None:
    from lockstep.steps.publish import publish
    from tests.unit.steps.runs import make_run, make_settings
    from tests.unit.steps.test_publish import pass_audit

    publish(pass_audit(make_run(home)), make_settings(home))
    for _ in range(2):
        result = CliRunner().invoke(app, ["refresh", "parcels", *arguments], catch_exceptions=False)
        assert result.stdout == "by_depot: 2 rows recomputed\n"
    columns = json.loads(run("by_depot", "--json"))[0].keys()
    assert list(columns) == ["day", "depot", "parcels", "risk", "late"]


def test_refresh_takes_ranges_and_leaves_out_what_is_not_live(home: Path) -> None:
    from lockstep.steps.publish import publish
    from tests.unit.steps.runs import make_run, make_settings
    from tests.unit.steps.test_publish import pass_audit

    publish(pass_audit(make_run(home)), make_settings(home))

    def refreshed(*arguments: str) -> dict[str, object]:
        result = CliRunner().invoke(app, ["refresh", "parcels", *arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return dict(json.loads(result.stdout))

    facts = {"spec": "parcels", "days": ["2024-03-05"], "not_live": ["2024-03-04"], "rows": {"by_depot": 2}}
    assert refreshed("--from", "2024-03-04", "--to", "2024-03-05") == facts
    assert refreshed("--date", "2024-03-05", "--date", "2024-03-04") == facts
    assert refreshed()["days"] is None
    assert refreshed("--trailing", "1")["days"] == []
    for wrong in (["--from", "2024-03-04"], ["--date", "2024-03-04", "--trailing", "2"]):
        assert CliRunner().invoke(app, ["refresh", "parcels", *wrong]).exit_code == 2


def test_dates_are_not_shifted(warehouse: Path) -> None:
    assert dt.datetime.fromisoformat(json.loads(run("daily", "--json"))[0]["at"]).tzinfo == dt.UTC
