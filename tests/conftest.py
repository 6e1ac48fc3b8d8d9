"""Which tests run in one process when `make test` shares them out to several."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

# They share a Spark session or an installation, and use both cores by themselves.
TOGETHER = ("tests/spark/", "tests/integration/", "tests/browser/")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "LoadFileScheduling | None":
    """Keep the tests of a file in one process, and those of some folders, with `--dist loadfile`."""
    from xdist.scheduler import LoadFileScheduling

    class FolderScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "together" if nodeid.startswith(TOGETHER) else super()._split_scope(nodeid)

    return FolderScheduling(config, log) if config.getoption("dist") == "loadfile" else None
