import datetime as dt
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from lockstep.errors import ColumnTypeMismatch, SpecError
from lockstep.publish.contract import PublishRequest
from lockstep.steps import label_days, labels
from lockstep.steps.label_days import MeasuredDay, summary
from lockstep.steps.labels import labels_of, latest_day
from tests.unit.steps.labelled import LATEST, Depot, random_outcomes
from tests.unit.steps.runs import DAY, km_risk, make_settings, make_spec, parcels

NEXT = DAY + dt.timedelta(days=1)


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    return Depot(tmp_path)


def test_a_day_is_measured_once_and_again_when_more_labels_come(depot: Depot) -> None:
    depot.publish()
    assert depot.state() == "measured"
    none = depot.whole()[0]
    assert (none.row_count, none.labelled_count, none.auc, none.reason) == (40, 0, None, "no labels")
    assert depot.state() == "unchanged"
    late = random_outcomes()
    depot.happen([*late[:30], *[None] * 10])
    assert depot.measure()[0].state == "measured"
    assert [row.labelled_count for row in depot.whole()] == [30]
    depot.happen(late)
    assert [depot.state() for _ in range(2)] == ["measured", "unchanged"]
    whole = depot.whole()[0]
    assert whole.auc == pytest.approx(roc_auc_score(late, km_risk(parcels().to_batches()[0])))
    assert (whole.positive_count, whole.scores_run_key) == (
        sum(map(bool, late)),
        depot.warehouse.live("parcel_scores", DAY).run_key,
    )
    segments = [(row.segment_value, row.row_count) for row in depot.read() if not row.is_whole_day]
    assert segments == [("N", 26), ("S", 14)]
    outcomes = [entry.outcome for entry in depot.warehouse.history("parcel_scores_performance")]
    assert outcomes == ["published"] * 3
    assert list((depot.root / "labels").iterdir()) == []


def test_other_rows_of_the_day_are_measured_again(depot: Depot) -> None:
    depot.publish()
    depot.happen(random_outcomes())
    depot.measure()
    depot.publish(version=2, score=lambda batch: 1 - km_risk(batch))
    before = depot.whole()[0].auc
    assert depot.state() == "measured"
    assert [(row.model_version, row.auc) for row in depot.whole()] == [(2, pytest.approx(1 - before))]


def test_only_days_whose_labels_are_complete_and_that_are_live_are_measured(depot: Depot) -> None:
    depot.publish()
    found = depot.measure(DAY, NEXT, LATEST + dt.timedelta(days=1))
    assert [(one.day, one.state) for one in found] == [
        (DAY, "measured"),
        (NEXT, "not published"),
        (LATEST + dt.timedelta(days=1), "too early"),
    ]
    assert found[2].note == "its labels are complete on 2024-04-04"
    told = summary(found, depot.read())
    assert told["days"] == {"measured": [str(DAY)], "not_published": [str(NEXT)], "too_early": ["2024-04-02"]}
    assert told["without_labels"] == [str(DAY)]
    assert json.loads(json.dumps(told))["performance"][0]["labelled_count"] == 0


def test_labels_are_complete_when_their_delay_has_passed_where_the_data_is(tmp_path: Path) -> None:
    late = {"source": "past", "query": "label.sql", "delay_days": 2}
    zone = {"cron": "0 6 * * *", "timezone": "America/New_York", "start": dt.date(2024, 1, 1)}
    loaded = make_spec(tmp_path, labels=late, schedule=zone)
    assert latest_day(loaded, dt.datetime(2024, 3, 10, 3, tzinfo=dt.UTC)) == dt.date(2024, 3, 6)
    assert latest_day(loaded, dt.datetime(2024, 3, 10, 6, tzinfo=dt.UTC)) == dt.date(2024, 3, 7)
    with pytest.raises(SpecError, match="the spec has none"):
        labels_of(make_spec(tmp_path))


def test_a_dry_run_publishes_and_claims_nothing(depot: Depot) -> None:
    depot.publish()
    found = depot.measure(dry_run=True)[0]
    assert (found.state, found.rows[0].row_count) == ("measured", 40)
    assert "parcel_scores_performance" not in depot.warehouse.tables()
    assert depot.read() == []


def test_challengers_are_measured_beside_the_published_rows(depot: Depot) -> None:
    depot.happen(random_outcomes())
    depot.challenge(depot.publish(version=2, score=lambda batch: 1 - km_risk(batch)), "hopeful")
    depot.publish()
    assert depot.run.arms == {"published": "parcel_scores", "hopeful": "parcel_scores_hopeful"}
    assert depot.state() == "measured"
    assert depot.run.arms == {"published": "parcel_scores", "hopeful": "parcel_scores_hopeful"}
    published, hopeful = depot.whole()
    assert (published.arm, published.model_version, published.table_name) == ("published", 1, "parcel_scores")
    assert (hopeful.arm, hopeful.model_version, hopeful.table_name) == ("hopeful", 2, "parcel_scores_hopeful")
    assert hopeful.auc == pytest.approx(1 - (published.auc or 0))
    assert depot.state() == "unchanged"


def test_rows_without_a_score_are_counted_and_not_measured(depot: Depot, tmp_path: Path) -> None:
    changed = {**depot.changes, "output": {"column": "risk", "errors": "problem"}}

    class Erring(Depot):
        @property
        def changes(self) -> dict[str, object]:
            return changed

    erring = Erring(tmp_path)
    erring.publish(score=lambda batch: np.where(np.arange(batch.num_rows) == 0, np.nan, km_risk(batch)))
    erring.happen([True, False] * 20)
    erring.measure()
    whole = erring.whole()[0]
    assert whole.row_count == whole.labelled_count == 40
    assert 0 < whole.measured_count < 40
    assert whole.auc is not None


def test_rows_whose_run_folder_is_gone_are_read_from_the_warehouse(depot: Depot) -> None:
    depot.happen(random_outcomes())
    folder = depot.publish()
    expected = depot.measure(dry_run=True)[0].rows
    shutil.rmtree(folder.path)
    assert depot.measure()[0].rows == expected
    depot.happen([True, False] * 20)
    _drop_rows(depot)
    found = depot.measure()[0]
    assert found.state == "unreadable"
    assert "the live rows of 2024-03-05 of parcel_scores cannot be read" in found.note


def test_a_score_that_is_no_number_is_named(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    depot.publish()
    texts = parcels().append_column("risk", pa.array(["high"] * 40))
    monkeypatch.setattr(labels, "live_rows", lambda *_, **__: texts)
    with pytest.raises(ColumnTypeMismatch, match=r"column 'risk' in the published rows.*expected a number"):
        depot.measure()


def _drop_rows(depot: Depot) -> None:
    import duckdb

    with duckdb.connect(make_settings(depot.root).warehouse("duckdb")) as connection:
        connection.execute("DELETE FROM parcel_scores WHERE id < 3")


def test_of_two_that_measure_at_once_the_one_that_saw_more_wins(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    depot.publish()
    original = label_days._publish
    inner: list[MeasuredDay] = []

    def slowly(*args: object, **kwargs: object) -> object:
        if not inner:  # everything was looked at; before the publication more labels come, and somebody measures them
            inner.append(MeasuredDay(DAY, "measured"))
            depot.happen(random_outcomes())
            inner[0] = depot.measure()[0]
        return original(*args, **kwargs)

    monkeypatch.setattr(label_days, "_publish", slowly)
    assert depot.measure()[0].state == "overtaken"
    assert inner[0].state == "measured"
    assert [row.labelled_count for row in depot.whole()] == [40]
    assert depot.state() == "unchanged"


def test_labels_that_change_while_they_are_read_are_read_again(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    depot.publish()
    original, seen = label_days.measure_table, []

    def changing(*args: object, **kwargs: object) -> object:
        found = original(*args, **kwargs)
        if not seen:
            depot.happen(random_outcomes())
        seen.append(found)
        return found

    monkeypatch.setattr(label_days, "measure_table", changing)
    assert depot.measure()[0].rows[0].labelled_count == 40
    assert len(seen) == 2


def test_the_ledger_says_how_many_labels_there_were(depot: Depot) -> None:
    depot.publish()
    depot.happen([True] * 10 + [None] * 30)
    depot.measure()
    entry = depot.warehouse.live("parcel_scores_performance", DAY)
    assert entry is not None
    assert (entry.checks, entry.actor, entry.rows) == ("10 of 40 rows labelled", "tester", len(depot.read()))
    assert PublishRequest.__dataclass_fields__.keys() >= set(label_days.OF_THE_SCORES)
