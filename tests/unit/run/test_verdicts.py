import datetime as dt
from pathlib import Path

import pytest

from lockstep.quality.drift import ColumnDrift
from lockstep.quality.drift_limits import drift_results
from lockstep.quality.results import CheckResult
from lockstep.quality.verdict import Verdict
from lockstep.run.verdicts import seen_verdict
from lockstep.specs.loading import load_spec

REPOSITORY = Path(__file__).parents[3]
MOVED = {"kind": "numeric", "reading": "large shift", "null_percent": 60.0, "baseline_null_percent": 1.0}


def check(name: str, *, success: bool, severity: str = "critical") -> CheckResult:
    facts = {"kind": "expectation", "observed": "3", "expected": "none"}
    return CheckResult(**facts, name=name, target="age", success=success, severity=severity)


def verdict(*results: CheckResult, drift: tuple[ColumnDrift, ...] = ()) -> Verdict:
    facts = {"stage": "audit", "run_key": "k", "partition": dt.date(2024, 1, 1), "passed": True, "rows": 7}
    return Verdict(**facts, checked_at=dt.datetime.now(dt.UTC), results=results, drift=drift)


def test_it_is_what_the_stage_wrote(tmp_path: Path) -> None:
    results = (check("a", success=True), check("b", success=False), check("c", success=False, severity="warning"))
    written = verdict(*results, drift=(ColumnDrift(column="risk", psi=0.25, **MOVED),))
    (tmp_path / "audit.json").write_text(written.model_dump_json())
    seen = seen_verdict(tmp_path, "audit")
    assert seen is not None
    assert (seen.stage, seen.run_key, seen.passed, seen.rows) == ("audit", "k", True, 7)
    assert [check.name for check in seen.failed("critical")] == ["b"]
    assert [check.line() for check in seen.failed("warning")] == [results[2].line()]
    assert seen.psi("risk") == 0.25
    assert seen.psi("risk", reference="trailing") is None
    assert seen.psi("age") is None


def test_every_limit_on_drift_is_known_as_one(tmp_path: Path) -> None:
    spec = load_spec(REPOSITORY / "models" / "flight_delay").spec
    limit = spec.limits.max_drift_psi
    near = {**MOVED, "null_percent": 0.0, "baseline_null_percent": 0.0}
    for psi in (limit * 0.9, limit * 2):
        drift = (ColumnDrift(column=spec.output.column, psi=psi, **near), ColumnDrift(column="age", psi=1.0, **MOVED))
        (tmp_path / "audit.json").write_text(verdict(*drift_results(drift, spec, None)).model_dump_json())
        seen = seen_verdict(tmp_path, "audit")
        assert seen is not None
        assert len(seen.results) >= 2
        assert all(check.is_drift for check in seen.results)


@pytest.mark.parametrize("text", [None, "{", '{"stage": "audit"}'])
def test_what_is_not_there_or_not_ours_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "audit.json").write_text(text)
    assert seen_verdict(tmp_path, "audit") is None
