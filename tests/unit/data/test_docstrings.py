"""The corpus: every docstring once, on a day that depends on its name alone."""

import datetime as dt
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from lockstep.data.docstrings import DAYS, FIRST_DAY, day_of, docstrings, ingest_docstrings

SOURCE = '''
"""A module."""

class Box:
    """A box."""

    @property
    def size(self):
        """Its size."""

    @size.setter
    def size(self, value):
        """Set its size."""

    def close(self): pass


if True:
    async def fetch():
        """Fetch a box.

        Over a network.
        """
'''


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    for name, text in {
        "box.py": SOURCE,
        "pack/__init__.py": '"""A pack."""',
        "broken.py": "def (",
        "test/a.py": "'x'",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_every_docstring_once(library: Path) -> None:
    assert sorted(docstrings(library)) == [
        ("box", "", "A module."),
        ("box", "Box", "A box."),
        ("box", "Box.size", "Its size."),
        ("box", "fetch", "Fetch a box.\n\nOver a network."),
        ("pack", "", "A pack."),
    ]


def test_a_second_ingest_changes_nothing(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    assert ingest_docstrings(out, library=library) == (5, False)
    (library / "box.py").unlink()
    assert ingest_docstrings(out, library=library) == (5, True)
    assert ingest_docstrings(out, library=library, force=True) == (1, False)
    table = ds.dataset(out / "docstrings", partitioning="hive").to_table()
    assert table.select(["module", "object", "text"]).to_pylist() == [
        {"module": "pack", "object": "", "text": "A pack."}
    ]
    assert table.column("doc_date").to_pylist() == [day_of("pack", "").isoformat()]


def test_days_are_dealt_by_name() -> None:
    days = [day_of("box", f"f{number}") for number in range(1_000)]
    assert set(days) == {FIRST_DAY + dt.timedelta(days=number) for number in range(DAYS)}
    assert day_of("box", "f1") == days[1]
