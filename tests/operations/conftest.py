"""One installation, and one `lockstep up` that most scenarios share; each has a spec and a table of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.installation import Installation, install
from tests.operations.processes import belonging_to, gone_within
from tests.operations.stack import Stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Data, models, a registry and a warehouse, both of them servers of their own."""
    made = install(tmp_path_factory.mktemp("operations"))
    try:
        made.registry.start()
        made.warehouse.start()
        yield made
    finally:
        made.registry.stop()
        made.warehouse.stop()
    assert gone_within(lambda: belonging_to(made.home), 20) == [], "processes are left"


@pytest.fixture(scope="session")
def stack(installation: Installation) -> Iterator[Stack]:
    """`lockstep up`; a scenario that ends it starts it again."""
    made = Stack(installation)
    made.start()
    try:
        yield made
    finally:
        made.stop()
