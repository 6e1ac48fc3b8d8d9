"""Print the drift of days that were scored, for docs/checks.md and for choosing limits.

    LOCKSTEP_HOME=var .venv/data/bin/python -m benchmarks.drift 2013-08-01:2013-08-07 2023-08-01:2023-08-08

For each range of days: what the score's figures were and how good the scores proved; then the median of each column
against training and, where the days have a week before them, against the trailing window, for the first range beside
the last. `make drift` scores the days of the example.
"""

import argparse
import datetime as dt
import os
from statistics import median

import duckdb
from sklearn.metrics import roc_auc_score

from lockstep.demo.backfill import Days
from lockstep.demo.drift import audits, comparison, figures
from lockstep.quality.verdict import Verdict
from lockstep.run.partition import parse_partition
from lockstep.specs.drift_spec import METRICS, Reference
from lockstep.specs.settings import Settings

SCORE = "probability_late"
REFERENCES: tuple[Reference, ...] = ("training", "trailing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ranges", nargs="+", metavar="FIRST:LAST", help="days, both included")
    settings = Settings.from_env(os.environ)
    found = {}
    for text in parser.parse_args().ranges:
        first, last = (parse_partition(day) for day in text.split(":"))
        found[text] = list(audits(settings, Days(first, last)).values())
    for text, verdicts in found.items():
        print(f"\n## {text}: {len(verdicts)} days")
        for reference in REFERENCES:
            print_score(verdicts, reference)
        print_outcome([verdict.partition for verdict in verdicts], settings)
    first_range, last_range = (next(iter(found.values())), next(reversed(found.values())))
    for reference in REFERENCES:
        print_columns(first_range, last_range, reference)


def print_score(verdicts: list[Verdict], reference: Reference) -> None:
    days = [d for v in verdicts for d in v.drift if d.column == SCORE and d.reference == reference]
    for metric in METRICS if days else ():
        values = [value for day in days if (value := day.value(metric)) is not None]
        print(
            f"score, {metric} against {reference}: {min(values):.3f} to {max(values):.3f}, median {median(values):.3f}"
            f" ({len(values)} days)"
        )


def print_outcome(days: list[dt.date], settings: Settings) -> None:
    query = """
        SELECT s.probability_late AS risk, o.arr_delay >= 15 AS late
        FROM flight_delay_scores s
        JOIN read_parquet(?, hive_partitioning = true) o
        USING (flight_date, carrier, flight, origin, dest, sched_dep_time)
        WHERE o.arr_delay IS NOT NULL
    """
    files = [str(settings.data_root / "flights" / f"flight_date={day}" / "*.parquet") for day in days]
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as connection:
        rows = connection.execute(query, [files]).df()
    area = roc_auc_score(rows["late"], rows["risk"])
    print(
        f"outcome of {len(rows):,} flights that arrived: mean score {rows['risk'].mean():.3f}, late"
        f" {rows['late'].mean():.3f}, area under the ROC curve {area:.3f}"
    )


def print_columns(then: list[Verdict], now: list[Verdict], reference: Reference) -> None:
    rows = comparison(figures(then, against=reference), figures(now, against=reference))
    if rows:
        print(f"\n| against {reference} | PSI | | JS | | KS | | nulls | |\n|---|---|---|---|---|---|---|---|---|")
    for name, *cells in rows:
        texts = ["" if cell is None else f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells]
        print(f"| `{name}` | {' | '.join(texts)} |")


if __name__ == "__main__":
    main()
