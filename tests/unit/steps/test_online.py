"""The online store follows the ledger: after a publication, a failure, a crash, a rollback."""

import datetime as dt
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import lockstep.steps.publish
from lockstep.cli.main import app
from lockstep.errors import CheckFailed, LockstepError, SpecError, StaleRun
from lockstep.publish.online.errors import OnlineStoreBehind
from lockstep.publish.warehouse import open_warehouse
from lockstep.run.exit_codes import TEMPORARY, exit_code
from lockstep.run.folder import PUBLICATION, RunFolder
from lockstep.serving.features.lookup import Lookup, LookupRequest
from lockstep.serving.features.readers import open_reader
from lockstep.specs.settings import Settings
from lockstep.steps.online import online_after
from lockstep.steps.publish import publish
from tests.unit.publish.online.promises import look
from tests.unit.steps.runs import DAY, km_risk, make_run, make_settings, parcels, pass_audit, renew_claim

NEXT_DAY = DAY + dt.timedelta(days=1)
ONE: dict[str, Any] = {"online": {}}
TWO: dict[str, Any] = {"online": {"keep_days": 2}}


def run(root: Path, day: dt.date = DAY, *, version: int = 1, **spec: Any) -> RunFolder:
    """A run that may be published; a higher version gives other scores."""

    def score(batch: pa.RecordBatch) -> np.ndarray:
        return np.asarray(np.clip(km_risk(batch) + (version - 1) / 8, 0, 1))

    made = make_run(root, table=parcels(day=day), version=version, score=score, reporting={}, **{**ONE, **spec})
    return pass_audit(made)


def found(settings: Settings, ids: list[int], **options: Any) -> Lookup:
    """Look up as the endpoint does."""
    reader = open_reader(settings.online_store("default"))
    return look(reader, LookupRequest("parcel_scores", {"id": ids}, **options))


def versions(settings: Settings, **options: Any) -> list[tuple[dt.date, int] | None]:
    return [one and (one.as_of, one.model_version) for one in found(settings, [0, 39], **options).provenance]


def ledger(settings: Settings) -> list[str]:
    with duckdb.connect(settings.warehouse("duckdb"), read_only=True) as connection:
        return [row[0] for row in connection.execute("SELECT outcome FROM lockstep_ledger ORDER BY entry").fetchall()]


def blocked(settings: Settings) -> Settings:
    """The same, with an online store that cannot be opened."""
    (settings.home / "text.db").write_text("no database, " * 1_000)
    return replace(settings, online_stores={"default": f"sqlite:///{settings.home}/text.db"})


def test_what_is_published_is_what_is_looked_up_to_the_bit_and_twice_is_once(tmp_path: Path) -> None:
    folder, settings = run(tmp_path), make_settings(tmp_path)
    facts = [publish(folder, settings) for _ in range(2)]
    assert [(one["online"]["outcome"], one["online_rows"]) for one in facts] == [("loaded", 40), ("unchanged", 0)]
    with duckdb.connect(settings.warehouse("duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT id, risk, run_key FROM parcel_scores ORDER BY id").fetchall()
    seen = found(settings, [row[0] for row in rows])
    assert seen.predictions.column("risk").to_pylist() == [row[1] for row in rows]
    assert [one and one.run_key for one in seen.provenance] == [row[2] for row in rows]
    assert ledger(settings) == ["published", "noop"]


def test_a_spec_without_a_store_has_none(tmp_path: Path) -> None:
    folder, settings = run(tmp_path, online=None), make_settings(tmp_path)
    for _ in range(2):
        assert "online" not in publish(folder, settings)
    assert not (tmp_path / "online.db").exists()


def test_a_store_that_fails_undoes_nothing_and_the_retry_only_loads_it(tmp_path: Path) -> None:
    folder, settings = run(tmp_path), make_settings(tmp_path)
    for _ in range(2):
        with pytest.raises(OnlineStoreBehind, match=r"(?s)cannot be used.*what it had.*only loads the store") as caught:
            publish(folder, blocked(settings))
        assert exit_code(caught.value) == TEMPORARY
        assert json.loads(folder.file(PUBLICATION).read_text())["rows"] == 40
    facts = publish(folder, settings)
    assert (facts["outcome"], facts["online"]["outcome"], facts["online_rows"]) == ("noop", "loaded", 40)
    assert ledger(settings) == ["published", "noop", "noop"]
    assert versions(settings) == [(DAY, 1)] * 2


def test_a_crash_before_the_store_was_loaded_is_healed_by_the_run_of_the_next_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*args: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    settings = make_settings(tmp_path)
    folder = run(tmp_path, **TWO)
    with monkeypatch.context() as patch:
        patch.setattr(lockstep.steps.publish, "load_online", crash)
        with pytest.raises(KeyboardInterrupt):
            publish(folder, settings)
    assert found(settings, [0]).states == ("missing",)
    facts = publish(run(tmp_path, NEXT_DAY, **TWO), settings)
    assert facts["online"]["days"] == {str(NEXT_DAY): "loaded", str(DAY): "loaded"}
    assert versions(settings) == [(NEXT_DAY, 1)] * 2
    assert versions(settings, as_of=DAY) == [(DAY, 1)] * 2


def test_the_rows_of_an_earlier_day_come_from_the_warehouse_when_its_run_is_gone(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    folder = run(tmp_path, **TWO)
    publish(folder, settings)
    Path(tmp_path / "online.db").unlink()
    shutil.rmtree(folder.path)
    assert publish(run(tmp_path, NEXT_DAY, **TWO), settings)["online_rows"] == 80
    assert versions(settings, as_of=DAY) == [(DAY, 1)] * 2


def test_an_earlier_day_that_cannot_be_loaded_is_told_and_stops_nobody(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    folder = run(tmp_path, **TWO)
    publish(folder, settings)
    Path(tmp_path / "online.db").unlink()
    shutil.rmtree(folder.path)
    with duckdb.connect(settings.warehouse("duckdb")) as connection:
        connection.execute("DELETE FROM parcel_scores WHERE id = 3")
    for outcome in ("loaded", "unchanged"):
        facts = publish(run(tmp_path, NEXT_DAY, **TWO), settings)
        assert facts["online"]["outcome"] == outcome
        assert "the warehouse has 39 rows where 40 went live" in facts["online"]["failed"][str(DAY)]


def test_backfilling_an_older_day_does_not_replace_the_newest(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    publish(run(tmp_path, NEXT_DAY), settings)
    folder = run(tmp_path, DAY, version=2)
    for _ in range(2):
        facts = publish(folder, settings)
        assert (facts["online"]["outcome"], facts["online_rows"]) == ("not kept", 0)
        assert versions(settings) == [(NEXT_DAY, 1)] * 2


def test_the_run_that_is_live_is_the_one_that_is_looked_up(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    old, new = run(tmp_path), run(tmp_path, version=2)
    for _ in range(2):
        publish(new, settings)
        with pytest.raises(StaleRun):
            publish(old, settings)
        assert versions(settings) == [(DAY, 2)] * 2
    renew_claim(old)
    for _ in range(2):
        publish(old, settings)
        assert versions(settings) == [(DAY, 1)] * 2


def test_a_run_that_was_overtaken_on_its_way_leaves_the_newer_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its commit and its load a newer run is published and loaded."""
    settings = make_settings(tmp_path)
    old, new = run(tmp_path), run(tmp_path, version=2)
    from lockstep.steps import online

    real = online.live_rows
    came = []

    def overtake(*args: Any, **options: Any) -> Any:
        if not came:
            came.append(True)
            publish(new, settings)
        return real(*args, **options)

    monkeypatch.setattr(online, "live_rows", overtake)
    assert publish(old, settings)["online"]["outcome"] == "overtaken"
    assert versions(settings) == [(DAY, 2)] * 2


def test_rows_that_cannot_be_looked_up_are_an_error_and_old_ones_do_not_stay(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    publish(run(tmp_path), settings)
    folder = run(tmp_path, version=2, online={"key": ["depot"]})
    for _ in range(2):
        with pytest.raises(OnlineStoreBehind, match=r"(?s)the same depot.*it has no rows.*online sync") as caught:
            publish(folder, settings)
        assert not caught.value.retryable
    assert found(settings, [0]).states == ("missing",)


def test_a_warehouse_that_was_replaced_is_told(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    for version in (1, 2):
        publish(run(tmp_path, version=version), settings)
    Path(settings.warehouse("duckdb")).unlink()
    folder = run(tmp_path, version=3)
    for _ in range(2):
        with pytest.raises(OnlineStoreBehind, match=r"(?s)has the token 1 .*replaced.*lockstep online drop"):
            publish(folder, settings)
    assert versions(settings) == [(DAY, 2)] * 2
    assert lockstep_json(tmp_path, "drop") == {"table": "parcel_scores", "partitions": 1}
    assert lockstep_json(tmp_path, "sync")["rows"] == 40
    assert versions(settings) == [(DAY, 3)] * 2


def command(root: Path, *args: str, store: str = "") -> Any:
    env = {"LOCKSTEP_HOME": str(root), "LOCKSTEP_MODELS": str(root / "models"), "LOCKSTEP_ACTOR": "anna"}
    return CliRunner().invoke(app, [*args], env={**env, "LOCKSTEP_ONLINE_STORE": store})


def lockstep_json(root: Path, verb: str) -> Any:
    result = command(root, "online", verb, "parcels", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_rollback_takes_the_store_with_it_and_twice_is_once(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    for version in (1, 2):
        publish(run(tmp_path, version=version), settings)
    for _ in range(2):
        assert command(tmp_path, "rollback", "parcels", "--date", str(DAY)).exit_code == 0
        assert versions(settings) == [(DAY, 1)] * 2
    assert ledger(settings) == ["published", "published", "restored"]


def test_a_rollback_whose_store_failed_is_finished_by_the_same_command(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    for version in (1, 2):
        publish(run(tmp_path, version=version), settings)
    for _ in range(2):
        result = command(
            tmp_path, "rollback", "parcels", "--date", str(DAY), store=blocked(settings).online_store("default")
        )
        assert isinstance(result.exception, OnlineStoreBehind)
        assert ledger(settings) == ["published", "published", "restored"]
        assert versions(settings) == [(DAY, 2)] * 2
    assert command(tmp_path, "rollback", "parcels", "--date", str(DAY)).exit_code == 0
    assert versions(settings) == [(DAY, 1)] * 2


def test_the_store_follows_also_when_the_rest_fails_and_the_error_is_that_of_the_rest(tmp_path: Path) -> None:
    folder, settings = run(tmp_path), make_settings(tmp_path)
    publish(folder, settings)
    (tmp_path / "online.db").unlink()
    spec = folder.plan(step="test").spec
    warehouse = open_warehouse("duckdb", settings.warehouse("duckdb"), wait_s=5)
    for where in (blocked(settings), settings):
        with pytest.raises(CheckFailed), online_after(warehouse, spec, where):
            raise CheckFailed("test", partition=str(DAY), failures=[], report="")
    assert versions(settings) == [(DAY, 1)] * 2


def test_the_command_shows_loads_and_forgets(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    folder = run(tmp_path, **TWO)
    assert command(tmp_path, "online", "status", "parcels").stdout.startswith("nothing of parcel_scores is live")
    publish(folder, settings)
    publish(run(tmp_path, NEXT_DAY, **TWO), settings)
    assert [day["state"] for day in lockstep_json(tmp_path, "status")] == ["loaded", "loaded"]
    assert lockstep_json(tmp_path, "drop")["partitions"] == 2
    assert [day["state"] for day in lockstep_json(tmp_path, "status")] == ["behind", "behind"]
    for rows in (80, 0):
        assert lockstep_json(tmp_path, "sync")["rows"] == rows
    run(tmp_path, **ONE)  # keeps one day
    assert [day["state"] for day in lockstep_json(tmp_path, "status")] == ["loaded", "over"]
    lockstep_json(tmp_path, "sync")
    assert [day["state"] for day in lockstep_json(tmp_path, "status")] == ["loaded"]
    text = command(tmp_path, "online", "status", "parcels").stdout
    assert f"{NEXT_DAY}  loaded  store: 40 rows of run" in text
    run(tmp_path, online=None)
    result = command(tmp_path, "online", "sync", "parcels")
    assert isinstance(result.exception, SpecError)
    assert "there is no 'online' in it" in str(result.exception)


def test_a_store_that_nobody_named_is_found_out_before_anything_is_computed(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    folder = run(tmp_path, online={"store": "fast"})
    with pytest.raises(LockstepError, match="LOCKSTEP_ONLINE_STORE_FAST is not set"):
        publish(folder, settings)
