import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import RunFolderUnusable
from lockstep.steps.retraining import Verdict, ask, asked_file, judge_model
from tests.unit.steps.labelled import LABELS, Depot
from tests.unit.steps.runs import DAY, km_risk, make_settings, parcels

NOW = dt.datetime(2024, 3, 20, tzinfo=dt.UTC)
RISK = km_risk(parcels().to_batches()[0])
GOOD, BAD = [bool(risk > 0.5) for risk in RISK], [bool(risk < 0.5) for risk in RISK]


class Judged(Depot):
    @property
    def changes(self) -> dict[str, Any]:
        return {**super().changes, "labels": {**LABELS, "retrain": {"min_auc": 0.6, "days": 2, "min_days": 1}}}

    def asked(self, signal: str = "night 1") -> Verdict:
        verdict = ask(self.spec.spec, self.warehouse, make_settings(self.root), signal=signal, now=NOW)
        assert verdict is not None
        return verdict

    def day(self, number: int, late: list[bool], *, version: int = 1) -> None:
        day = DAY + dt.timedelta(days=number)
        self.publish(day=day, version=version)
        self.happen(list(late), day=day)
        self.measure(day)


def test_a_breach_asks_once_until_it_is_mended(tmp_path: Path) -> None:
    depot, home = Judged(tmp_path), make_settings(tmp_path).home
    assert depot.asked().judgement.model_version is None
    depot.day(0, GOOD)
    assert not depot.asked().new
    depot.day(1, BAD)
    seen = judge_model(depot.spec.spec, depot.warehouse, make_settings(tmp_path))
    assert seen is not None
    assert seen.new
    assert not asked_file(home, "parcels").exists()
    assert depot.asked("night 2").new
    assert depot.asked("night 2").new, "a task that died after it was remembered is repeated"
    again = depot.asked("night 3")
    assert (again.new, [breach.limit for breach in again.judgement.breaches]) == (False, ["min_auc"])
    assert again.asked is not None
    assert again.asked.signal == "night 2"
    depot.day(3, GOOD)  # the bad day is out of the window
    assert depot.asked("night 4").asked is None
    assert not asked_file(home, "parcels").exists()


def test_a_new_model_that_is_no_better_asks_again_and_days_without_labels_do_not_count(tmp_path: Path) -> None:
    depot = Judged(tmp_path)
    depot.day(0, BAD)
    assert depot.asked("night 1").new
    depot.day(1, BAD, version=2)
    assert depot.asked("night 2").new
    depot.publish(day=DAY + dt.timedelta(days=2), version=3)
    depot.measure(DAY + dt.timedelta(days=2))
    last = depot.asked("night 3")
    assert (last.new, last.judgement.model_version, last.judgement.last_day) == (False, 2, DAY + dt.timedelta(days=1))


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    depot = Judged(tmp_path)
    depot.day(0, BAD)
    file = asked_file(make_settings(tmp_path).home, "parcels")
    file.parent.mkdir()
    file.write_text("{}")
    with pytest.raises(RunFolderUnusable, match="no record of a breach"):
        depot.asked()


def test_a_spec_without_limits_is_not_judged(tmp_path: Path) -> None:
    depot = Depot(tmp_path)
    assert ask(depot.spec.spec, depot.warehouse, make_settings(tmp_path), signal="night", now=NOW) is None
