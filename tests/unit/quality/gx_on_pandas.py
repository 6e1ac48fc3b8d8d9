"""Great Expectations on pandas, as its own engine decides: what the measured figures are compared with."""

import dataclasses
from typing import Any

import pandas as pd
import pyarrow as pa

from lockstep.quality.columns import with_figures
from lockstep.quality.expectations import RESULT_FORMAT, Decision, quiet
from lockstep.quality.suites import Suite


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an expectation said."""

    success: bool
    error: bool
    element_count: int | None
    unexpected_count: int | None
    unexpected_percent: float | None
    observed: Any


def outcome(result: Any) -> Outcome:
    facts, info = result.result or {}, result.exception_info or {}
    error = info.get("raised_exception") is True or any(isinstance(item, dict) for item in info.values())
    if error:
        return Outcome(False, True, None, None, None, None)
    observed = facts.get("observed_value")
    if isinstance(observed, bool):
        observed = int(observed)
    if observed is not None and pd.isnull(observed):
        observed = None
    names = ("element_count", "unexpected_count", "unexpected_percent")
    return Outcome(bool(result.success), False, *(facts.get(name) for name in names), observed)


def frame_of(table: pa.Table, columns: list[str]) -> pd.DataFrame:
    batches = table.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]
    whole = pa.Table.from_batches([with_figures(batch, columns) for batch in batches])
    for index, field in enumerate(whole.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_decimal(kind):
            kind = pa.float64()
        elif pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            kind = pa.timestamp("us")
        if kind != field.type:
            whole = whole.set_column(index, field.name, whole.column(index).cast(kind, safe=False))
    return whole.to_pandas(date_as_object=False)


def decide_on_pandas(suite: Suite, table: pa.Table) -> list[Outcome]:
    import great_expectations as gx

    frame = frame_of(table, list(suite.needs)) if suite.needs else pd.DataFrame(index=range(table.num_rows))
    with quiet():
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        batch = (
            context.data_sources.add_pandas("run").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("x")
        )
        stored = context.suites.add(gx.ExpectationSuite("x", expectations=Decision(suite).expectations))
        found = batch.get_batch({"dataframe": frame}).validate(stored, result_format=dict(RESULT_FORMAT))
    placed = {int(result.expectation_config.meta["position"]): result for result in found.results}
    return [outcome(placed[index]) for index in range(len(suite.checks))]
