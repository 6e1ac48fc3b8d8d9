"""One cluster for all tests here, where this machine has the right to make hosts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.registry.loading import load_scorer
from lockstep.run.plan import ModelIdentity
from lockstep.scoring.engine import UnitScorer
from lockstep.steps.score import write_manifest
from tests.cluster.cluster import Cluster
from tests.cluster.hosts import unfit
from tests.integration.kill_runs import Template, check_whole, content, make_model, make_template

UNITS, UNIT_ROWS = 36, 60_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three hosts with Spark, one with the store, one for the driver."""
    why_not = unfit()
    if why_not is not None:
        pytest.skip(f"a cluster of hosts cannot be made here: {why_not}")
    with Cluster.started(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A planned run of many units."""
    model: ModelIdentity = make_model(tmp_path_factory.mktemp("artifact") / "model")
    return make_template(tmp_path_factory.mktemp("plan"), model, units=UNITS, unit_rows=UNIT_ROWS)


@pytest.fixture(scope="session")
def expected(template: Template, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, str | None]]:
    """The run's content, scored in this process on one machine."""
    folder = template.copy(tmp_path_factory.mktemp("expected") / "run")
    wanted, plan = folder.scoring_input(step="test"), folder.plan(step="test")
    units = UnitScorer(folder, plan, load_scorer(Path(plan.model.location)), baseline=None, run_rows=wanted.rows)
    for unit in wanted.units:
        units.score(unit)
    write_manifest(folder)
    check_whole(folder, template)
    return content(folder)
