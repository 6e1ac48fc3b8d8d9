"""One run at a time computes a partition, whatever its key."""

from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.errors import PartitionBusy
from lockstep.run.exit_codes import TEMPORARY, exit_code
from lockstep.run.folder import RunFolder
from lockstep.run.partition_lock import alone, lease_folder
from lockstep.specs.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings.from_env({"LOCKSTEP_HOME": str(tmp_path), "LOCKSTEP_PARTITION_WAIT_S": "0.1"})
    return replace(found, actor="airflow score_m run 1")


def run_of(settings: Settings, name: str) -> RunFolder:
    return RunFolder(settings.runs_root / name)


def test_the_lease_is_of_spec_and_day_and_lies_beside_the_runs(settings: Settings) -> None:
    one, other = run_of(settings, "m/2024-01-02/aaaa"), run_of(settings, "m/2024-01-02/bbbb")
    assert lease_folder(one) == lease_folder(other) == settings.runs_root / ".leases" / "m" / "2024-01-02"


def test_two_runs_of_a_day_exclude_each_other_and_those_of_other_days_or_specs_do_not(settings: Settings) -> None:
    told: list[str] = []
    with alone("materialize", run_of(settings, "m/2024-01-02/aaaa"), settings) as held:
        held.check()
        for name in ("m/2024-01-03/aaaa", "n/2024-01-02/aaaa"):
            with alone("score", run_of(settings, name), settings, tell=told.append):
                pass
        assert told == []
        with (
            pytest.raises(PartitionBusy) as caught,
            alone("score", run_of(settings, "m/2024-01-02/bbbb"), settings, tell=told.append),
        ):
            pytest.fail("two at once")
    message = str(caught.value)
    for words in ("score of m 2024-01-02 was not begun", "airflow score_m run 1 (materialize, process", "waited 0 s"):
        assert words in message
    assert exit_code(caught.value) == TEMPORARY
    assert len(told) == 1
    with alone("score", run_of(settings, "m/2024-01-02/bbbb"), settings):
        pass
