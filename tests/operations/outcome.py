"""What has to be true whatever happened: each day is live once and whole, and a repetition changes nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tests.integration.world import ROWS
from tests.operations.installation import Installation
from tests.operations.processes import computing, gone_within
from tests.operations.stack import Stack


def check_published(installation: Installation, spec: str, wanted: Mapping[str, int]) -> None:
    """Each day is live, whole, made by the version that is wanted, published once; nothing else is live."""
    live = installation.live(spec)
    assert {day: {row[2] for row in rows} for day, rows in live.items()} == {d: {v} for d, v in wanted.items()}
    for day, rows in live.items():
        assert [row[0] for row in rows] == list(range(ROWS)), f"{day}: a row is lost or double"
    entries = [entry for entry in installation.ledger(spec) if entry["outcome"] == "published"]
    assert Counter(entry["partition"] for entry in entries) == Counter(wanted)
    assert {entry["partition"]: entry["model_version"] for entry in entries} == dict(wanted)


def check_nothing_computes(installation: Installation, spec: str) -> None:
    """No process of any run of a spec is left."""
    runs = installation.home / "runs" / spec
    assert gone_within(lambda: computing(runs), 20) == []


def check_repeated(stack: Stack, spec: str, days: Sequence[str]) -> None:
    """The same backfill once more computes nothing and changes no row."""
    installation = stack.installation
    before = installation.live(spec)
    manifests = {
        path: path.stat().st_mtime_ns for path in (installation.home / "runs" / spec).glob("*/*/manifest.json")
    }
    count = len(stack.runs(spec))
    backfill = stack.backfill(spec, days[0], days[-1])
    stack.wait_for_backfill(backfill)
    assert {run["state"] for run in stack.wait_for_runs(spec, count)} == {"success"}
    assert installation.live(spec) == before
    assert {path: path.stat().st_mtime_ns for path in manifests} == manifests
    assert len(list((installation.home / "runs" / spec).glob("*/*/manifest.json"))) == len(manifests)
