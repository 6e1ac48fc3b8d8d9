"""Which tests run in one process when `make test` shares them out to several."""

import pytest

# They share a Spark session or an installation, and use both cores by themselves.
TOGETHER = ("spark", "integration")


@pytest.hookimpl(tryfirst=True)  # before the plugin reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, and those of some folders."""
    if not config.pluginmanager.has_plugin("xdist"):
        return
    for item in items:
        folder, *below = item.path.relative_to(config.rootpath / "tests").parts
        item.add_marker(pytest.mark.xdist_group("together" if folder in TOGETHER else "/".join([folder, *below])))
