"""Run a suite: Great Expectations says what each expectation needs, decides it and writes its data docs.

What it needs are metrics; here they come from one pass over the rows (`lockstep.quality.measuring`) instead of from its
own execution engines, which read the rows once for each and take many times as long. The seam is what its validator
itself calls on each expectation: `get_validation_dependencies` and `metrics_validate`.

The only module, with those it hands on to, that needs Great Expectations. It runs without files
of its own outside the docs folder, without analytics, progress bars or any network, and keeps no value of any row.
"""

import copy
import datetime as dt
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstep.quality.asks import Question, Uncomputable
from lockstep.quality.columns import Column
from lockstep.quality.loading import load, quiet
from lockstep.quality.metric_table import question_of, withheld, withheld_value
from lockstep.quality.reference import PREFIX, Finding, Reference
from lockstep.quality.results import CheckResult, expected_text, figure
from lockstep.quality.suites import Check, Suite

# Counts and percentages only: no list of unexpected values, no rows.
RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": 0, "include_unexpected_rows": False}
NO_FIGURE = "it could not be computed on this column (wrong type?)"


class Decision:
    """A suite on its way: which questions its expectations ask, and what they say to the answers."""

    def __init__(self, suite: Suite) -> None:
        with quiet():
            load()
            self._suite = suite
            self._built = [_build(check, index) for index, check in enumerate(suite.checks)]
            self._metrics = [_metrics(expectation) for expectation in self._built]

    @property
    def expectations(self) -> list[Any]:
        """The expectations, each with its place in the suite in its `meta`."""
        return [copy.copy(expectation) for expectation in self._built]

    def questions(self, columns: Mapping[str, Column], *, reference: Reference | None = None) -> dict[Any, Any]:
        """Return the questions to ask of the rows.

        Args:
            columns: Columns and figures by name; at least those that the suite needs.
            reference: What reference expectations compare with; without it the suite must have none.
        """
        wanted = {metric.id: metric for metrics in self._metrics for metric in metrics}
        return {
            key: _question(metric, columns, reference)
            for key, metric in wanted.items()
            if not withheld(metric.metric_name)
        }

    def results(self, answers: Mapping[Any, Any], *, name: str, docs: Path, at: dt.datetime) -> list[CheckResult]:
        """Let each expectation decide, and write the data docs.

        Args:
            answers: The values of the questions.
            name: Name of the suite in the docs.
            docs: Folder of the docs, replaced; its `index.html` is the way in.
            at: Time that the docs show.

        Returns:
            One result per check, in the suite's order.
        """
        from lockstep.quality.data_docs import write_docs

        with quiet():
            found = [
                _decide(expectation, metrics, answers)
                for expectation, metrics in zip(self._built, self._metrics, strict=True)
            ]
            write_docs(found, self._built, name=name, docs=docs, at=at)
        return [_result(check, result) for check, result in zip(self._suite.checks, found, strict=True)]


def _question(metric: Any, columns: Mapping[str, Column], reference: Reference | None) -> Question:
    name, kwargs = metric.metric_name, metric.metric_value_kwargs
    if name.startswith(PREFIX):
        if reference is None:
            raise ValueError(f"{name} needs a reference")
        return reference.question(name.removeprefix(PREFIX), kwargs, columns=columns)
    return question_of(name, metric.metric_domain_kwargs, kwargs, columns=columns)


def _build(check: Check, position: int) -> Any:
    import great_expectations.expectations as gxe

    kwargs: dict[str, Any] = {key: _comparable(value) for key, value in check.kwargs.items()}
    if check.rule.target == "column":
        kwargs["column"] = check.column
    elif check.rule.target == "pair" and check.columns:
        kwargs["column_A"], kwargs["column_B"] = check.columns
    elif check.columns:
        kwargs["column_list"] = list(check.columns)
    name = "".join(word.capitalize() for word in check.expectation.split("_"))
    made = getattr(_own() if check.rule.against else gxe, name)
    return made(**kwargs, severity=check.severity, notes=check.why, meta={"position": position})


def _own() -> Any:
    from lockstep.quality import reference_expectations

    return reference_expectations


def _comparable(value: Any) -> Any:
    """Give dates of YAML the type that the measured columns have."""
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
    return dt.datetime.combine(value, dt.time()) if isinstance(value, dt.date) else value


def _metrics(expectation: Any) -> Sequence[Any]:
    needed = expectation.get_validation_dependencies(runtime_configuration={"result_format": dict(RESULT_FORMAT)})
    metrics: Sequence[Any] = needed.get_metric_configurations()
    return metrics


def _decide(expectation: Any, metrics: Sequence[Any], answers: Mapping[Any, Any]) -> Any:
    values = {m.id: withheld_value(m.metric_name) if withheld(m.metric_name) else answers[m.id] for m in metrics}
    if any(isinstance(value, Uncomputable) for value in values.values()):
        return _failed(expectation)
    try:
        result = expectation.metrics_validate(values, runtime_configuration={"result_format": dict(RESULT_FORMAT)})
    except Exception:  # noqa: BLE001 - the decision itself failed; the message may quote a value
        return _failed(expectation)
    observed = result.result.get("observed_value")
    finding = next((value for value in values.values() if isinstance(value, Finding)), None)
    if finding is None and isinstance(observed, str | list | dict):
        result.result["observed_value"] = None
    return result


def _failed(expectation: Any) -> Any:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult

    problem = {"raised_exception": True, "exception_message": NO_FIGURE, "exception_traceback": ""}
    return ExpectationValidationResult(
        success=False, expectation_config=expectation.configuration, result={}, exception_info=problem
    )


def _result(check: Check, found: Any) -> CheckResult:
    facts = found.result
    count, share = facts.get("unexpected_count"), facts.get("unexpected_percent")
    if found.exception_info and found.exception_info["raised_exception"]:
        observed = f"no figure: {NO_FIGURE}"
    elif "unexpected_count" in facts:
        looked = facts["element_count"] - facts.get("missing_count", 0)
        misfit = "are null" if check.expectation.endswith("not_be_null") else "do not fit"
        observed = f"{count:,} of {looked:,} rows that {misfit} ({share or 0:.4g} %)"
    elif check.rule.against:
        observed = str(facts["observed_value"])  # our own words
    else:
        observed = figure(_finite(facts.get("observed_value")))
    return CheckResult(
        kind="expectation",
        name=check.expectation,
        target=", ".join(check.needs),
        severity=check.severity,
        success=bool(found.success),
        observed=observed,
        expected=expected_text(check),
        unexpected_count=None if count is None else int(count),
        unexpected_percent=None if share is None else round(float(share), 6),
        why=check.why,
    )


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
