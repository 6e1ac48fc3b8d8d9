"""The spec's checks on a sample: the gate on the whole day, the audit on the rows that were scored."""

import datetime as dt
from pathlib import Path

import pyarrow.parquet as pq

from lockstep.checkup.findings import CHECKS_FAILED, Finding
from lockstep.checkup.sampling import Scored
from lockstep.quality.expectations import Decision
from lockstep.quality.loading import loading_ahead
from lockstep.quality.measuring import EMBEDDED
from lockstep.quality.results import CheckResult, critical_failures, warnings_of
from lockstep.quality.rows import staged_rows
from lockstep.quality.suites import Suite, load_suite
from lockstep.run.folder import RunFolder
from lockstep.steps.gate import check_input

# What is said of a whole day holds for no sample.
OF_THE_WHOLE = ("expect_table_row_count", "expect_column_sum", "expect_column_unique_value_count")
EDIT = "change the data, or the bounds in {file}"


def check_gate(folder: RunFolder) -> Finding:
    """Run the gate on the day, as a run does."""
    plan, rows = folder.plan(step="check"), folder.scoring_input(step="check").rows
    if rows > plan.spec.limits.checks_spark_rows:
        return Finding("gate", "skipped", f"{rows:,} rows are measured on Spark, by the run")
    verdict = check_input(folder, EMBEDDED)
    return _finding("gate", verdict.results, rows=rows, file=plan.spec.checks.gate)


def check_audit(folder: RunFolder, sample: Scored, *, scratch: Path) -> Finding:
    """Run those checks of the audit that look at rows alone, on the scored sample."""
    plan = folder.plan(step="check")
    suite = load_suite(folder.local(f"spec/{plan.spec.checks.audit}"))
    kept = [c for c in suite.expectations if not c.rule.against and not c.expectation.startswith(OF_THE_WHOLE)]
    left_out = len(suite.expectations) - len(kept)
    staged = sample.staged()
    if not kept or not staged.num_rows:
        return Finding("audit", "skipped", "no check of the suite looks at single rows")
    file = scratch / "sample.parquet"
    pq.write_table(staged, file)
    judged = Suite(description=suite.description, expectations=tuple(kept))
    with loading_ahead():
        rows = staged_rows([file], where="the scored sample")
        with EMBEDDED.measuring(rows, names=judged.needs) as measured:
            decision = Decision(judged)
            answers = measured.answer(decision.questions(measured.columns))
            results = decision.results(answers, name="audit", docs=scratch / "docs", at=dt.datetime.now(dt.UTC))
    found = _finding("audit", results, rows=staged.num_rows, file=plan.spec.checks.audit)
    more = f"; {left_out} more need the whole day" if left_out else ""
    return Finding(found.part, found.state, found.text + more, found.to_do, found.code, found.facts)


def _finding(part: str, results: "list[CheckResult] | tuple[CheckResult, ...]", *, rows: int, file: str) -> Finding:
    failed, warned = critical_failures(results), warnings_of(results)
    facts = {"rows": rows, "checks": len(results), "failures": failed, "warnings": warned}
    counted = f"{len(results)} checks on {rows:,} rows"
    if failed:
        listed = "\n".join(failed)
        return Finding(
            part, "problem", f"{counted}; the run would stop:\n{listed}", EDIT.format(file=file), CHECKS_FAILED, facts
        )
    if warned:
        listed = "\n".join(warned)
        return Finding(
            part, "warning", f"{counted} passed, with warnings:\n{listed}", EDIT.format(file=file), facts=facts
        )
    return Finding(part, "ok", f"{counted} passed", facts=facts)
