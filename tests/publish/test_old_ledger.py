"""A ledger of an earlier version is read as it is, and completed by the next publication."""

from collections.abc import Callable

from lockstep.publish.contract import PublishRequest
from lockstep.publish.sql.ledger import COLUMNS, LATER, LEDGER
from tests.publish.places import TABLE, Place
from tests.publish.staged import DAY, NOON

OLD = {
    "token": 1,
    "table_name": TABLE,
    "partition_date": DAY,
    "run_key": "old",
    "spec": "flight_delay",
    "spec_hash": "s",
    "model_name": "flight_delay",
    "model_version": 1,
    "model_digest": "d",
    "rows": 6,
    "replaced_rows": 0,
    "outcome": "published",
    "published_at": NOON,
    "run_folder": "runs/old",
    "code_version": "0",
}


def test_an_old_ledger(sql_place: Place, request_for: Callable[..., PublishRequest]) -> None:
    assert list(OLD) == [name for name, _, _ in COLUMNS[:LATER]]
    columns = ", ".join(f'"{name}" {kind}' for name, kind, _ in COLUMNS[:LATER])
    with sql_place.open().engine.transaction() as session:  # type: ignore[attr-defined]
        session.rows(f"CREATE TABLE {LEDGER} (entry BIGINT PRIMARY KEY, {columns})")
        marks = ", ".join("?" for _ in OLD)
        session.rows(f"INSERT INTO {LEDGER} VALUES (1, {marks})", list(OLD.values()))
    (found,) = sql_place.open().history(TABLE)
    assert (found.run_key, found.published_at, found.actor, found.changes) == ("old", NOON, "", ())
    live = sql_place.open().live(TABLE, DAY)
    assert live == found
    for outcome in ("published", "noop"):
        request = request_for("new", sql_place.claim("new"), actor="anna")
        assert sql_place.open().publish(request).outcome == outcome
    assert [(e.run_key, e.actor) for e in sql_place.open().history(TABLE)] == [
        ("old", ""),
        ("new", "anna"),
        ("new", "anna"),
    ]
    columns_now, rows = sql_place.open().read_table("model_lineage", limit=None)
    assert dict(zip(columns_now, rows[0], strict=True))["run_key"] == "new"
