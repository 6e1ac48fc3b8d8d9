"""How a run is found by its key or its folder, on a disk and in a store."""

import pytest

from lockstep.errors import InputError
from lockstep.run.folder import MANIFEST, RunFolder
from lockstep.storage.files import Location
from lockstep.upkeep.diff import find_run


@pytest.fixture
def runs(place: Location) -> Location:
    """Two finished runs and one that is not."""
    for day, key in (("2024-01-02", "abc1"), ("2024-01-03", "abd2")):
        RunFolder(place / "churn" / day / key).write_json(MANIFEST, {})
    RunFolder(place / "churn" / "2024-01-03" / "fff").write_json("plan.json", {})
    return place


def test_a_run_is_found_by_key_beginning_or_folder(runs: Location) -> None:
    expected = RunFolder(runs / "churn" / "2024-01-02" / "abc1")
    for name in ("abc1", "abc", str(expected.path)):
        assert find_run(runs, name) == expected


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ab", "several runs begin so"),
        ("fff", "no finished run"),
        ("*", "no finished run"),
        ("s3://bucket/../x", "no finished run"),
        ("hdfs://x/y", "no finished run"),
    ],
)
def test_other_names_are_refused(runs: Location, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        find_run(runs, name)
