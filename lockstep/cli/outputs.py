"""What commands print with `--json`: tests hold them to it, and docs/json/ has its JSON Schemas.

Keys may be added; none is renamed or removed, and none gets another type, without a line in the changelog.
"""

import datetime as dt
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from lockstep.cli.config import ConfigShown
from lockstep.doctor.finding import Diagnosis

Scalar = str | int | float | bool | None


class Output(BaseModel):
    """One document; nothing in it is left unsaid."""

    model_config = ConfigDict(extra="forbid")


class Failure(Output):
    """What any command prints that fails with an error of ours."""

    error: str = Field(description="Class of the error.")
    code: str = Field(pattern=r"^LS\d{4}$", description="What `lockstep explain` explains.")
    message: str = Field(description="For people; its wording may change.")
    retryable: bool = Field(description="Whether the same command may do later with nothing changed.")


class Begun(Output):
    """`init`."""

    spec: str
    folder: str = Field(description="Where the spec was written.")
    day: str = Field(description="Column of the day.")
    key: list[str] = Field(description="Columns that name a row of a day, without that of the day.")
    date: dt.date = Field(description="Day that was looked at.")
    rows: int = Field(ge=0, description="Of that day.")
    table: str = Field(description="Table that is published.")


class Part(BaseModel):
    """One part of a check-up; its further keys are figures of that part."""

    model_config = ConfigDict(extra="allow")

    part: str
    state: Literal["ok", "warning", "problem", "skipped"]
    text: str
    to_do: str = Field(description="Empty: nothing.")
    seconds: float = Field(ge=0)


class Examined(Output):
    """`check`."""

    spec: str
    partition: dt.date
    ok: bool
    exit_code: int
    parts: list[Part]


class Ran(Output):
    """`run`: of each day one line."""

    run_folder: str
    report: str = Field(description="Where report.html is.")
    steps: dict[str, dict[str, Any]] = Field(description="Figures of each step that ran, by step.")


class WouldRun(Output):
    """`run --dry-run`."""

    dry_run: Literal[True]
    run_folder: str
    table: str
    live_run_key: str | None = Field(description="Run whose rows are live; null: none.")
    would: str


class Planned(Output):
    """`step plan`."""

    run_folder: str
    run_key: str
    partition: dt.date
    model_version: int
    token: int | None = Field(description="Fencing token; null: the run is not to publish.")
    already_live: bool


class Explained(Output):
    """`explain` of one code; without one, a list of these."""

    code: str
    error: str
    family: str
    summary: str
    cause: str
    remedy: str
    example: str
    exit: str = Field(description="Exit codes; empty: no command ends with it.")
    answers: str = Field(description="Statuses of the endpoint; empty: it does not answer with it.")
    see: str = Field(description="Page of docs/; empty: none says more.")


class Shifted(Output):
    """`diff`: one for all rows, or for each segment."""

    segment: str | None
    only_a: int
    only_b: int
    both: int
    changed: int
    mean_a: float | None
    mean_b: float | None
    quantiles: list[float] | None = Field(description="Of the absolute change: median, 90 %, 99 %, largest.")


class Vacuumed(Output):
    """`vacuum`."""

    runs: list[str]
    size_bytes: int
    kept: int
    warehouse: list[str]
    dry_run: bool


class Resolved(Output):
    """`model resolve`."""

    name: str
    version: int
    digest: str
    challengers: dict[str, int | None] | None = Field(None, description="Only with --challengers.")


class Promoted(Output):
    """`model promote`."""

    name: str
    alias: str
    version: int
    digest: str
    before: int | None
    moved: bool


class Refreshed(Output):
    """`report refresh`."""

    spec: str
    days: list[dt.date] | None = Field(description="Null: all.")
    not_live: list[dt.date]
    rows: dict[str, int] = Field(description="Recomputed, by table.")


def outputs() -> dict[str, TypeAdapter[Any]]:
    """Return what each command prints; `failure` is what any of them prints that fails."""
    from lockstep.publish.contract import Publication
    from lockstep.quality.performance_table import PerformanceRow
    from lockstep.run.comparison import Comparison

    kinds: dict[str, Any] = {
        "failure": Failure,
        "init": Begun,
        "check": Examined,
        "run": Ran | WouldRun,
        "doctor": Diagnosis,
        "history": list[Publication],
        "diff": list[Shifted],
        "vacuum": Vacuumed,
        "explain": Explained | list[Explained],
        "config show": ConfigShown,
        "step plan": Planned,
        "model resolve": Resolved,
        "model promote": Promoted,
        "trial show": list[Comparison],
        "labels show": list[PerformanceRow],
        "report table": list[dict[str, Scalar]],
        "report refresh": Refreshed,
    }
    return {name: TypeAdapter(kind) for name, kind in kinds.items()}
