"""Places of files for all unit tests."""

from pathlib import Path

import pytest

from lockstep.storage.files import Location
from tests.unit.storage.buckets import bucket_in_memory


@pytest.fixture(params=["disk", "store"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Location:
    """A folder on a disk, then one in a store."""
    if request.param == "disk":
        (tmp_path / "place").mkdir()
        return tmp_path / "place"
    return bucket_in_memory(monkeypatch)
