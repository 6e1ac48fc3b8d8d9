"""Run a suite with Great Expectations and write its data docs.

The only module that loads Great Expectations (about three seconds). It runs without files of its own outside the
docs folder, without analytics, progress bars or any network, and keeps no value of any row.
"""

import contextlib
import datetime as dt
import logging
import math
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.quality.results import CheckResult, expected_text, figure
from lockstep.quality.suites import Check, Suite

if TYPE_CHECKING:
    import pandas as pd

# Counts and percentages only: no list of unexpected values, no rows.
RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": 0, "include_unexpected_rows": False}
# Animations of a tutorial: 3.3 of the 4 MB of a data docs site.
TUTORIAL_IMAGES = ("glossary_scroller.gif", "validation_failed_unexpected_values.gif", "iterative-dev-loop.png")


def run_suite(suite: Suite, frame: "pd.DataFrame", *, name: str, docs: Path, at: dt.datetime) -> list[CheckResult]:
    """Check a frame against a suite and write the data docs.

    Args:
        suite: What must hold.
        frame: The rows, with at least the columns that the suite needs.
        name: Name of the suite in the docs.
        docs: Folder of the docs, replaced; its `index.html` is the way in.
        at: Time that the docs show.

    Returns:
        One result per check, in the suite's order.
    """
    with _quiet():
        gx = _great_expectations()
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        batch = (
            context.data_sources.add_pandas("run")
            .add_dataframe_asset("rows")
            .add_batch_definition_whole_dataframe(name)
        )
        built = [_build(gx, check, index) for index, check in enumerate(suite.checks)]
        stored = context.suites.add(gx.ExpectationSuite(name, expectations=built))
        outcome = batch.get_batch({"dataframe": frame}).validate(stored, result_format=RESULT_FORMAT)
        for result in outcome.results:
            _forget_values(result)
        _write_docs(context, outcome, name=name, docs=docs, at=at)
    found = {int(result.expectation_config.meta["position"]): result for result in outcome.results}
    return [_result(check, found[index]) for index, check in enumerate(suite.checks)]


def _great_expectations() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations

    return great_expectations


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _build(gx: Any, check: Check, position: int) -> Any:
    kwargs: dict[str, Any] = {key: _comparable(value) for key, value in check.kwargs.items()}
    if check.rule.target == "column":
        kwargs["column"] = check.column
    elif check.rule.target == "pair" and check.columns:
        kwargs["column_A"], kwargs["column_B"] = check.columns
    elif check.columns:
        kwargs["column_list"] = list(check.columns)
    words = [word.capitalize() for word in check.expectation.split("_")]
    made = getattr(gx.expectations, "".join(words))
    return made(**kwargs, severity=check.severity, notes=check.why, meta={"position": position})


def _comparable(value: Any) -> Any:
    """Give dates of YAML the type that the frame's columns have."""
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
    return dt.datetime.combine(value, dt.time()) if isinstance(value, dt.date) else value


def _forget_values(result: Any) -> None:
    """Drop what could carry data: text that was observed, and exceptions, whose messages quote values."""
    if _error(result):
        result.exception_info = {
            "raised_exception": True,
            "exception_message": _error(result),
            "exception_traceback": "",
        }
    observed = result.result.get("observed_value")
    if isinstance(observed, str | list | dict):
        result.result["observed_value"] = None


def _error(result: Any) -> str | None:
    info = result.exception_info or {}
    raised = info.get("raised_exception") is True or any(isinstance(item, dict) for item in info.values())
    return "it could not be computed on this column (wrong type?)" if raised else None


def _result(check: Check, found: Any) -> CheckResult:
    facts = found.result
    count, share = facts.get("unexpected_count"), facts.get("unexpected_percent")
    if _error(found):
        observed = f"no figure: {_error(found)}"
    elif "unexpected_count" in facts:
        looked = facts["element_count"] - facts.get("missing_count", 0)
        misfit = "are null" if check.expectation.endswith("not_be_null") else "do not fit"
        observed = f"{count:,} of {looked:,} rows that {misfit} ({share or 0:.4g} %)"
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


def _write_docs(context: Any, outcome: Any, *, name: str, docs: Path, at: dt.datetime) -> None:
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    shutil.rmtree(docs, ignore_errors=True)
    run = RunIdentifier(run_name=name, run_time=at)
    outcome.meta |= {"run_id": run, "validation_time": at}
    key = ValidationResultIdentifier(ExpectationSuiteIdentifier(name), run_id=run, batch_identifier="rows")
    context.validation_results_store.add(key=key, value=outcome)
    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    site = {
        "class_name": "SiteBuilder",
        "store_backend": backend,
        "site_index_builder": index,
        "show_how_to_buttons": False,
    }
    context.add_data_docs_site(name, site)
    context.build_data_docs(site_names=[name])
    for image in TUTORIAL_IMAGES:
        (docs / "static" / "images" / image).unlink(missing_ok=True)
