import datetime as dt
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.quality.expectations import Decision
from lockstep.quality.measuring import measuring
from lockstep.quality.results import CheckResult, critical_failures
from lockstep.quality.rows import staged_rows
from lockstep.quality.suites import Suite

AT = dt.datetime(2024, 3, 5, tzinfo=dt.UTC)
TABLE = pa.table(
    {
        "name": ["SECRET-1", "SECRET-2", None],
        "x": [1.0, 2.0, 3.0],
        "same": [0.25, 0.25, 0.25],
        "empty": pa.array([float("nan")] * 3),
        "day": pa.array([dt.date(2024, 3, 5)] * 3),
    }
)


def check(name: str, **facts: Any) -> dict[str, Any]:
    return {"expectation": f"expect_{name}", "why": "it matters", **facts}


def run(tmp_path: Path, *checks: dict[str, Any], table: pa.Table = TABLE) -> list[CheckResult]:
    tmp_path.mkdir(exist_ok=True)
    pq.write_table(table, tmp_path / "rows.parquet")
    suite = Suite.model_validate({"expectations": checks})
    decision = Decision(suite)
    with measuring(staged_rows([tmp_path / "rows.parquet"], where="x"), names=suite.needs) as measured:
        answers = measured.answer(decision.questions(measured.columns))
    return decision.results(answers, name="gate", docs=tmp_path / "gx", at=AT)


pytestmark = pytest.mark.slow


def test_results_come_in_order_with_their_figures(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        check("column_mean_to_be_between", column="x", kwargs={"min_value": 5}),
        check("table_row_count_to_be_between", kwargs={"min_value": 1, "max_value": 5}),
        check("column_values_to_not_be_null", columns=["x", "empty"], kwargs={"mostly": 0.5}),
        check(
            "column_values_to_be_between", column="day", kwargs={"min_value": dt.date(2024, 3, 6)}, severity="warning"
        ),
        check("compound_columns_to_be_unique", columns=["same", "day"]),
        check("column_stdev_to_be_between", column="same", kwargs={"min_value": 0, "strict_min": True}),
    )
    assert [(r.success, r.target, r.observed, r.expected) for r in found] == [
        (False, "x", "2", "at least 5"),
        (True, "", "3", "between 1 and 5"),
        (True, "x", "0 of 3 rows that are null (0 %)", "no nulls in at least 50 % of rows"),
        (False, "empty", "3 of 3 rows that are null (100 %)", "no nulls in at least 50 % of rows"),
        (False, "day", "3 of 3 rows that do not fit (100 %)", "at least 2024-03-06"),
        (False, "same, day", "3 of 3 rows that do not fit (100 %)", "no combination twice"),
        (False, "same", "0", "more than 0"),
    ]
    assert len(critical_failures(found)) == 4
    assert (
        critical_failures(found)[0] == "expect_column_mean_to_be_between on x: got 2, expected at least 5 (it matters)"
    )
    assert (found[3].unexpected_count, found[3].unexpected_percent) == (3, 100.0)


def test_no_value_of_a_row_is_kept(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        check("column_values_to_be_in_set", column="name", kwargs={"value_set": ["other"]}),
        check("column_values_to_match_regex", column="name", kwargs={"regex": "^x"}),
        check("column_min_to_be_between", column="name", kwargs={"min_value": 0}),
        check("column_values_to_be_between", column="name", kwargs={"min_value": 0}),
        check("column_values_to_be_unique", column="name"),
    )
    assert [r.success for r in found] == [False, False, False, False, True]
    assert "could not be computed" in found[2].observed
    written = [p for p in (tmp_path / "gx").rglob("*") if p.is_file()]
    assert not [p for p in written if b"SECRET" in p.read_bytes()]
    assert "SECRET" not in "".join(r.model_dump_json() for r in found)


@pytest.mark.parametrize("times", [1, 2])
def test_docs_have_a_stable_way_in_and_stay_small(tmp_path: Path, times: int) -> None:
    for _ in range(times):
        run(tmp_path, check("table_row_count_to_be_between", kwargs={"min_value": 1}))
    files = [p for p in (tmp_path / "gx").rglob("*") if p.is_file()]
    (results,) = [p for p in files if "validations" in p.parts]
    (leads_to,) = re.findall(r'href="([^"]+)"', (tmp_path / "gx" / "index.html").read_text())
    assert (tmp_path / "gx" / leads_to) == results
    assert "greater than or equal to" in results.read_text()
    assert not [p for p in files if p.suffix == ".html" and "<script" in p.read_text()]
    assert sum(p.stat().st_size for p in files) < 1_500_000


def test_nothing_is_written_elsewhere_or_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    run(tmp_path / "run", check("column_mean_to_be_between", column="x", kwargs={"min_value": 5}))
    assert list(home.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


def test_an_empty_frame_fails_where_it_must(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        check("table_row_count_to_be_between", kwargs={"min_value": 1}),
        check("column_mean_to_be_between", column="x", kwargs={"min_value": 0}),
        table=TABLE.slice(0, 0),
    )
    assert [(r.success, r.observed) for r in found] == [(False, "0"), (False, "nothing (no value to compute it from)")]


def test_docs_fetch_nothing(tmp_path: Path) -> None:
    run(tmp_path, check("column_mean_to_be_between", column="x", kwargs={"min_value": 5}))
    pages = [page.read_text() for page in (tmp_path / "gx").rglob("*.html") if page.name != "index.html"]
    assert len(pages) == 2
    for page in pages:
        assert not re.search(r"<(link|script|img)\b[^>]*https?://", page)
        assert not re.search(r"url\([\"']?https?:", page)
        assert "font-family: system-ui" in page
        assert "favicon" not in page
