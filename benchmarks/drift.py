"""Print the drift of days that were scored, for docs/checks.md and for choosing limits.

    LOCKSTEP_HOME=var .venv/data/bin/python -m benchmarks.drift 2013-08-01:2013-08-07 2023-08-01:2023-08-08

For each range of days: what the score's figures were, and the median of each column against training and, where the
days have a week before them, against the trailing window. `make drift` scores the days of the example.
"""

import argparse
import os
from statistics import median

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


def print_columns(then: list[Verdict], now: list[Verdict], reference: Reference) -> None:
    rows = comparison(figures(then, against=reference), figures(now, against=reference))
    if rows:
        print(f"\n| against {reference} | PSI | | JS | | KS | | nulls | |\n|---|---|---|---|---|---|---|---|---|")
    for name, *cells in rows:
        texts = ["" if cell is None else f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells]
        print(f"| `{name}` | {' | '.join(texts)} |")


if __name__ == "__main__":
    main()
