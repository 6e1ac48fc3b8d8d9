"""One small world for all integration tests; its registry is built once, its state is fresh for every module."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from world import World, build_world


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Data, spec and registry; not to be changed."""
    return build_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def world(built: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A copy of the world's data and spec over the same registry, without runs and warehouse."""
    home = tmp_path_factory.mktemp("home")
    for part in ("data", "models"):
        shutil.copytree(built.home / part, home / part)
    (home / "mlflow").mkdir()
    shutil.copyfile(built.home / "mlflow" / "mlflow.db", home / "mlflow" / "mlflow.db")
    return World(home)
