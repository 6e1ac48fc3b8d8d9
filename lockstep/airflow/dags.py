"""What all families of DAGs have in common: a DAG for each spec, built so that no spec costs another one its DAG.

Imports neither Spark, torch nor MLflow: parsing stays cheap.
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param

from lockstep.airflow.ours import MODELS_ROOT, TAG
from lockstep.airflow.picture import steps_section
from lockstep.airflow.retries import FIRST_DELAY, LONGEST_DELAY, RETRIES, Patience
from lockstep.specs.loading import LoadedSpec, load_spec, spec_files
from lockstep.specs.spec import Schedule, ScoringSpec

STEP_TIMEOUT = dt.timedelta(minutes=30)
# A day that is nearly done goes before a day that has just begun.
DEFAULTS: Mapping[str, Any] = {
    "execution_timeout": STEP_TIMEOUT,
    "retries": RETRIES,
    "retry_policy": Patience(),
    # For what no policy is asked about: a task whose process was killed.
    "retry_delay": FIRST_DELAY,
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": LONGEST_DELAY,
    "weight_rule": "upstream",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Family:
    """A kind of DAG that specs have.

    Attributes:
        prefix: Of the DAG ids.
        build: Makes the DAG of a spec, given the text that its page begins with.
        file: Of `dags/`; its docstring is that text.
        applies: Whether a spec has such a DAG.
    """

    prefix: str
    build: Callable[[LoadedSpec, str], DAG]
    file: str
    applies: Callable[[ScoringSpec], bool] = lambda _: True

    def dag_id(self, name: str) -> str:
        """Return the DAG id of the spec called `name`."""
        return f"{self.prefix}_{name}"


def build_all(
    models_root: Path, families: Mapping[Family, str], *, only: str | None = None
) -> tuple[list[DAG], list[Exception]]:
    """Build the DAGs of every spec; a spec that cannot be built costs no other spec its DAG.

    Args:
        models_root: Folder of the specs.
        families: What to build, with the Markdown that each DAG's page begins with.
        only: Build this DAG id alone (what a running task needs).

    Returns:
        The DAGs, and the problem of each spec that lacks one.
    """
    dags, problems = [], []
    for file in spec_files(models_root):
        wanted = [family for family in families if only in {None, family.dag_id(file.parent.name)}]
        if not wanted:
            continue
        try:
            loaded = load_spec(file)
            for family in [family for family in wanted if family.applies(loaded.spec)]:
                dag = family.build(loaded, families[family])
                if families[family]:  # whoever only looks for problems shows no page
                    dag.doc_md = f"{dag.doc_md}\n{steps_section(dag)}"
                dag.validate()
                dags.append(dag)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one spec must not remove the others
            log.warning("no DAG for %s: %s", file, error)
            error.add_note(f"spec file: {file}")
            problems.append(error)
    return dags, problems


def spec_dag(family: Family, loaded: LoadedSpec, *, page: str, tags: Sequence[str], **kwargs: Any) -> DAG:
    """Return a DAG without tasks, with what is the same in every family."""
    spec = loaded.spec
    return DAG(
        dag_id=family.dag_id(spec.name),
        doc_md=f"{page}\n{_facts(spec)}",
        default_args={"owner": spec.owner, MODELS_ROOT: str(loaded.folder.parent), **DEFAULTS},
        tags=[TAG, *tags, spec.model.name],
        auto_register=False,
        **kwargs,
    )


def optional_day(title: str, description: str) -> Param:
    """Return the field of a form for a day that may be left empty."""
    return Param(None, type=["null", "string"], format="date", title=title, description=description)


def day_range(empty: str) -> dict[str, Param]:
    """Return the fields `first_day` and `last_day`.

    Args:
        empty: Which days an empty form means.
    """
    return {
        "first_day": optional_day("First day", f"Empty: {empty}."),
        "last_day": optional_day("Last day", "Included. Empty: the first day alone."),
    }


def _facts(spec: ScoringSpec) -> str:
    rows: Sequence[tuple[str, str]] = (
        ("Model", f"`{spec.model.name}`, alias `{spec.model.alias}`"),
        ("Published to", f"{spec.publish.warehouse} table `{spec.publish.table}`, by `{spec.partition.column}`"),
        ("Schedule", f"{_starts(spec.schedule)}, days from {spec.schedule.start}"),
        ("Owner", spec.owner),
    )
    table = "\n".join(f"| {name} | {text} |" for name, text in rows)
    return f"## This DAG: {spec.name}\n\n{spec.description}\n\n| | |\n|---|---|\n{table}\n"


def _starts(schedule: Schedule) -> str:
    starts = [f"`{schedule.cron}` {schedule.timezone}"] if schedule.cron else []
    if schedule.assets:
        starts.append(" and ".join(f"`{ref.name}`" for ref in schedule.assets))
    return " or ".join(starts)


def iter_messages(problems: Sequence[Exception]) -> Iterator[str]:
    """Yield each problem as the text that the import error shows."""
    for problem in problems:
        yield str(problem) if str(problem).startswith("scoring spec") else f"{problem} ({', '.join(problem.__notes__)})"
