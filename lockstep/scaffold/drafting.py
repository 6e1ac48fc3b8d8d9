"""From a model, a table and what was chosen to the texts of a spec's folder."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lockstep.run.plan import ModelIdentity
from lockstep.scaffold.errors import NameUnusable, NothingScored
from lockstep.scaffold.sampling import Sample
from lockstep.scaffold.starter_checks import StarterCheck, audit_checks, gate_checks, key_checks, row_count, unique
from lockstep.scaffold.writing import render
from lockstep.scoring.outputs import arrow_array
from lockstep.scoring.scorer import Scorer
from lockstep.specs.fields import IDENTIFIER
from lockstep.specs.input_spec import Table

NOT_NUMBERS = {"string", "datetime", "binary"}


@dataclass(frozen=True)
class Choices:
    """What was chosen for a new spec.

    Attributes:
        name: Of the spec.
        alias: Which the spec follows.
        table: The input.
        table_label: What people call it.
        day: Column of the day.
        first: First day that may be scored.
        key: Columns beside the day that name a row.
        other_keys: What would name a row as well.
        passthrough, sensitive: Columns, as in the spec.
        cron, timezone, warehouse, published, owner: As in the spec.
    """

    name: str
    alias: str
    table: Table
    table_label: str
    day: str
    first: dt.date
    key: tuple[str, ...]
    other_keys: tuple[tuple[str, ...], ...] = ()
    passthrough: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    cron: str = "0 6 * * *"
    timezone: str = "UTC"
    warehouse: str = "duckdb"
    published: str = ""
    owner: str = "lockstep"


def try_model(scorer: Scorer, sample: Sample, *, title: str) -> pa.Table:
    """Score a sample; return the outputs of the rows that have a score.

    Raises:
        NothingScored: None has.
        InputError: The sample does not fit the signature after all.
    """
    wanted = [name for name in scorer.signature.names if name in sample.rows.column_names]
    batch = sample.rows.select(wanted).combine_chunks().to_batches()[0]
    scored = scorer.score(batch, where="the sample")
    if len(scored.reasons) == batch.num_rows:
        raise NothingScored(title, rows=batch.num_rows, reason=next(iter(scored.reasons.values())))
    known = pa.array([row not in scored.reasons for row in range(batch.num_rows)])
    columns = zip(scorer.signature.outputs, scored.outputs, strict=True)
    return pa.table({column.name: arrow_array(column, values) for column, values in columns}).filter(known)


def draft(chosen: Choices, *, model: ModelIdentity, sample: Sample, scores: pa.Table, today: dt.date) -> dict[str, str]:
    """Return the texts of the files of a spec's folder, by name.

    Raises:
        NameUnusable: A column that is to be published has a name that it cannot have.
    """
    for name in (chosen.day, *chosen.key, *chosen.passthrough):
        if not IDENTIFIER.fullmatch(name):
            raise NameUnusable(name, where="column")
    key = (chosen.day, *chosen.key)
    share = "all" if sample.rows.num_rows == sample.total else f"{sample.rows.num_rows:,} of the"
    seen = f"{share} {sample.total:,} rows of {sample.day}"
    shown = [column.name for column in model.inputs if column.name in sample.rows.column_names]
    shown = [name for name in shown if name not in chosen.sensitive and _is_plain(sample.rows.schema.field(name).type)]
    facts = {
        **vars(chosen),
        **_notes(chosen, sample),
        "model": model,
        "description": f"Scores of {model.name}, {_outputs_text(model)}, for each row of {chosen.table_label}.",
        "table": chosen.table.model_dump(mode="json", exclude_defaults=True),
        "key": key,
        "outputs": [output.name for output in model.outputs],
        "comparable": model.outputs[0].shape is None and model.outputs[0].dtype not in NOT_NUMBERS,
        "start": chosen.first,
        "sample_day": sample.day,
        "seen": seen,
        "today": today,
    }
    gate = [row_count(sample.total, day=sample.day), *key_checks(key), *gate_checks(sample.rows, shown)]
    suites: dict[str, dict[str, Any]] = {
        "checks/gate.yaml": {
            "head": f"Is the input of a day fit to be scored? Read by the gate of {chosen.name}.",
            "description": "Input of one day.",
            "checks": gate,
        },
        "checks/audit.yaml": {
            "head": f"Are the scores of a day fit to go live? Read by the audit of {chosen.name}.",
            "description": "Scores of one day.",
            "checks": _audit(key, model, scores=scores, sample=sample),
        },
    }
    return render(facts, suites)


def _audit(key: Sequence[str], model: ModelIdentity, *, scores: pa.Table, sample: Sample) -> list[StarterCheck]:
    found = [
        row_count(sample.total, day=sample.day),
        StarterCheck(
            "expect_row_count_to_be_near_previous",
            "half as many rows more or fewer than the day before is worth a look",
            kwargs={"max_change_percent": 50},
            warning=True,
        ),
        *unique(key),
        StarterCheck(
            "expect_keys_to_equal_input",
            "every row of the input has its score unless it is in quarantine, and no other row has one",
        ),
    ]
    for output in model.outputs:
        found += audit_checks(output.name, scores.column(output.name))
    return found


def _notes(chosen: Choices, sample: Sample) -> dict[str, str]:
    whole = chosen.table.whole
    others = " or ".join(", ".join(each) for each in chosen.other_keys)
    guess = f"they told all {sample.rows.num_rows:,} sampled rows apart" if chosen.key else "a day has one row"
    return {
        "day_note": "the table has no days: all of its rows are scored as the day" if whole else "the day of a row",
        "day_note_readme": "" if whole else f"the day column `{chosen.day}`",
        "key_note": f"Columns that name a row, the day among them: {guess}"
        + (f"; so did {others}." if others else "."),
        "cron_note": "minute, hour, day, month, weekday; the run scores the day before",
        "start_note": "first day that may be scored" + ("" if whole else ": the first of the table"),
    }


def _is_plain(kind: pa.DataType) -> bool:
    return not pa.types.is_nested(kind)


def _outputs_text(model: ModelIdentity) -> str:
    names = ", ".join(output.name for output in model.outputs)
    return f"output{'s' if len(model.outputs) > 1 else ''} {names}"
