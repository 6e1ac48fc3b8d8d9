"""What every warehouse promises."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lockstep.errors import PublishError, StagedFileChanged, StaleRun
from lockstep.publish.contract import PublishRequest
from tests.publish.conftest import make
from tests.publish.places import EMULATED, KINDS, STORED, TABLE, Place, make_place
from tests.publish.staged import DAY, NOON, staged_table

NEXT_DAY = dt.date(2013, 8, 2)
LATER = NOON + dt.timedelta(hours=1)

Request = Callable[..., PublishRequest]


@pytest.fixture(params=[*KINDS, *EMULATED, *STORED])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty warehouse of each kind.

    Tables in a store are tested here, in test_upkeep.py and in test_lake_stores.py: what the other files test is code
    and formats that do not know where the tables lie, and would cost minutes.
    """
    return make(request.param, tmp_path, request)


def outcomes(place: Place) -> list[tuple[str, str, int]]:
    return [(entry.run_key, entry.outcome, entry.token) for entry in place.open().history(TABLE)]


def test_publish_twice_gives_the_rows_once(place: Place, request_for: Request) -> None:
    first_token = place.claim("a")
    first = place.open().publish(request_for("a", first_token))
    second_token = place.claim("a")
    again = place.open().publish(request_for("a", second_token, now=LATER))

    assert (first.outcome, first.rows, first.replaced_rows) == ("published", 6, 0)
    assert (again.outcome, again.rows, again.published_at, again.token) == ("noop", 6, NOON, second_token)
    assert place.live() == [(DAY, "a", 6)]
    assert outcomes(place) == [("a", "published", first_token), ("a", "noop", second_token)]


def test_the_same_claim_publishes_once(place: Place, request_for: Request) -> None:
    request = request_for("a", place.claim("a"))
    done = [place.open().publish(replace(request, now=NOON + dt.timedelta(minutes=i))).outcome for i in range(3)]
    assert done == ["published", "noop", "noop"]
    assert place.live() == [(DAY, "a", 6)]


def test_claims_count_up_and_know_what_is_live(place: Place, request_for: Request) -> None:
    def claim(run_key: str, day: dt.date = DAY) -> Any:
        return place.open().claim(TABLE, partition=day, run_key=run_key, now=NOON)

    assert place.open().live(TABLE, DAY) is None
    first = claim("a")
    assert place.open().live(TABLE, DAY) is None
    place.open().publish(request_for("a", first.token))
    same, other, elsewhere = claim("a"), claim("b"), claim("a", NEXT_DAY)

    assert first.token < same.token < other.token
    assert [c.already_live for c in (first, same, other, elsewhere)] == [False, True, False, False]
    live = place.open().live(TABLE, DAY)
    assert live is not None
    assert (live.run_key, live.rows, live.model_version, live.run_folder) == ("a", 6, 1, "runs/a")


@pytest.mark.parametrize("kind", ["duckdb", "iceberg", "delta"])
def test_looking_creates_nothing(kind: str, tmp_path: Path) -> None:
    warehouse = make_place(kind, tmp_path / "none").open()
    assert warehouse.live(TABLE, DAY) is None
    assert warehouse.history() == []
    assert warehouse.tables() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("times", [1, 2])
def test_exactly_the_partition_is_replaced(place: Place, request_for: Request, times: int) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    place.open().publish(request_for("n", place.claim("n", NEXT_DAY), day=NEXT_DAY, rows=4))
    token = place.claim("b")
    for _ in range(times):
        last = place.open().publish(request_for("b", token, rows=8))

    assert last.replaced_rows == (6 if times == 1 else 0)
    assert place.live() == [(DAY, "b", 8), (NEXT_DAY, "n", 4)]


def test_an_older_run_is_fenced_off(place: Place, request_for: Request) -> None:
    old, new = place.claim("old"), place.claim("new")
    place.open().publish(request_for("new", new))
    for _ in range(2):
        with pytest.raises(StaleRun, match=rf"token is {old}, but a run planned later \(token {new}\)"):
            place.open().publish(request_for("old", old))
    assert place.live() == [(DAY, "new", 6)]


def test_a_newer_claim_alone_fences_nobody(place: Place, request_for: Request) -> None:
    old = place.claim("old")
    place.claim("planned and then abandoned")
    assert place.open().publish(request_for("old", old)).outcome == "published"


def test_a_noop_shuts_out_older_runs_too(place: Place, request_for: Request) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    between = place.claim("b")
    place.open().publish(request_for("a", place.claim("a"), now=LATER))
    with pytest.raises(StaleRun):
        place.open().publish(request_for("b", between))
    assert place.live() == [(DAY, "a", 6)]


def test_a_run_may_come_back_when_planned_again(place: Place, request_for: Request) -> None:
    for hour, run_key in enumerate(["a", "b", "a"]):
        place.open().publish(request_for(run_key, place.claim(run_key), now=NOON + dt.timedelta(hours=hour)))
    assert place.live() == [(DAY, "a", 6)]
    columns, rows = place.open().read_table("model_lineage", limit=None)
    facts = dict(zip(columns, rows[0], strict=True))
    assert len(rows) == 1
    assert (facts["run_key"], facts["publications"], facts["noops"], facts["rows"]) == ("a", 3, 0, 6)


def test_a_claim_of_another_warehouse_does_not_count(place: Place, request_for: Request) -> None:
    taken = place.claim("somebody else")
    for token in [taken, taken + 1]:
        with pytest.raises(PublishError, match="has no claim on partition 2013-08-01"):
            place.open().publish(request_for("a", token))
    assert place.read() == []


@pytest.mark.parametrize("damage", ["cut", "same size", "gone"])
def test_a_changed_file_is_refused(place: Place, request_for: Request, damage: str) -> None:
    place.open().publish(request_for("old", place.claim("old")))
    request = request_for("a", place.claim("a"))
    file = request.files[1].path
    if damage == "gone":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[20] ^= 1
        file.write_bytes(data[:-1] if damage == "cut" else data)
    for step in (place.open().prepare, place.open().publish):
        with pytest.raises(StagedFileChanged, match=r"part-1\.parquet"):
            step(request)
    assert place.live() == [(DAY, "old", 6)]


def test_another_count_than_the_manifests_is_refused(place: Place, request_for: Request) -> None:
    place.open().publish(request_for("old", place.claim("old")))
    request = replace(request_for("a", place.claim("a")), rows=7)
    for step in (place.open().prepare, place.open().publish):
        with pytest.raises(PublishError, match="hold 6 rows; expected the 7 of the manifest"):
            step(request)
    assert place.live() == [(DAY, "old", 6)]
    assert len(outcomes(place)) == 1


def test_rows_of_another_partition_are_refused(place: Place, request_for: Request, stage: Any) -> None:
    other = request_for("a", place.claim("a"), files=stage("a", day=NEXT_DAY))
    with pytest.raises(PublishError, match=r"part-0\.parquet holds rows of another partition than 2013-08-01"):
        place.open().publish(other)
    unknown = staged_table("a", rows=6).set_column(0, "flight_date", pa.array([DAY] * 5 + [None], pa.date32()))
    with pytest.raises(PublishError, match=r"part-1\.parquet holds rows of another partition .* \(or rows without"):
        place.open().publish(request_for("a", place.claim("a"), files=stage("a", table=unknown)))
    assert place.read() == []


def test_a_refusal_is_told_and_changes_nothing(place: Place, request_for: Request) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    for _ in range(2):
        refused = place.open().refuse(request_for("b", place.claim("b"), now=LATER), "audit: 3 checks failed")
    assert (refused.outcome, refused.reason) == ("refused", "audit: 3 checks failed")
    live = place.open().live(TABLE, DAY)
    assert live is not None
    assert live.run_key == "a"
    assert [entry.outcome for entry in place.open().history(TABLE)][:2] == ["published", "refused"]
    columns, rows = place.open().read_table("lockstep_ledger", limit=None)
    assert {row[columns.index("outcome")] for row in rows} == {"published", "refused"}


def test_rows_that_vanished_by_hand_are_published_again(sql_place: Place, request_for: Request) -> None:
    token = sql_place.claim("a")
    sql_place.open().publish(request_for("a", token))
    with sql_place.open().engine.transaction() as session:  # type: ignore[attr-defined]
        session.rows(f"DROP TABLE {TABLE}")
    assert sql_place.open().publish(request_for("a", token)).outcome == "published"
    assert sql_place.live() == [(DAY, "a", 6)]


def test_an_empty_partition_may_be_published(place: Place, request_for: Request) -> None:
    empty = replace(request_for("none", place.claim("none"), rows=0), files=[])
    assert place.open().publish(empty).rows == 0
    place.open().publish(request_for("a", place.claim("a"), now=LATER))
    again = replace(empty, token=place.claim("none"), now=LATER + dt.timedelta(hours=1))
    done = place.open().publish(again)
    assert (done.rows, done.replaced_rows) == (0, 6)
    assert place.read() == []
    assert place.open().publish(replace(again, now=LATER + dt.timedelta(hours=2))).outcome == "noop"


def test_file_names_are_no_patterns(place: Place, request_for: Request, tmp_path: Path) -> None:
    request = request_for("a", place.claim("a"))
    odd = tmp_path / "day=[1]*? %20é"
    odd.mkdir()
    moved = [type(f)(f.path.rename(odd / f.path.name), f.size_bytes, f.sha256) for f in request.files]
    (odd / "stray.parquet").write_bytes(b"no parquet")
    assert place.open().publish(replace(request, files=moved)).rows == 6
    assert place.live() == [(DAY, "a", 6)]


def test_reserved_names_are_refused(place: Place, request_for: Request) -> None:
    with pytest.raises(PublishError, match="Lockstep's own"):
        place.open().publish(request_for("a", 1, table="lockstep_ledger"))


def test_values_come_back_as_they_were_staged(place: Place, request_for: Request, stage: Any) -> None:
    values = {
        "flight_date": pa.array([DAY] * 3, pa.date32()),
        "run_key": ["a"] * 3,
        "text": ['é, "quoted"\n', "", None],
        "double": pa.array([1 / 3, float("inf"), None]),
        "single": pa.array([0.1, -0.0, None], pa.float32()),
        "long": pa.array([2**62, -1, None], pa.int64()),
        "yes": [True, False, None],
        "moment": pa.array([NOON, LATER, None], pa.timestamp("us", "UTC")),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array([1.5, 2, 3, 4, 5, 6], pa.float32()), 2),
    }
    table = pa.table(values)
    for _ in range(2):
        place.open().publish(request_for("a", place.claim("a"), rows=3, files=stage("a", table=table)))
    found = sorted(place.read(), key=lambda row: str(row["vector"]))
    singles = pa.array(
        [row.pop("single") for row in found], pa.float32()
    )  # a client may write 0.1 of single precision so
    assert singles.equals(table["single"].combine_chunks())
    assert str(singles[1].as_py()) == "-0.0"
    expected = table.drop_columns(["single"]).to_pylist()
    assert [{**row, "vector": list(row["vector"])} for row in found] == expected


def test_read_table_orders_and_limits(place: Place, request_for: Request) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    columns, rows = place.open().read_table(TABLE, limit=2)
    assert columns[:3] == ["flight_date", "flight", "probability_late"]
    assert [row[1] for row in rows] == [0, 1]
    assert {"lockstep_ledger", "model_lineage", TABLE} <= set(place.open().tables())
