"""The same lines on the processor and on a GPU; without one, the report names each line that was not run."""

from collections.abc import Iterator

import pytest
import torch
from _pytest.terminal import TerminalReporter

NO_CUDA = "torch sees no CUDA GPU on this machine"
DEVICES = ("cpu", "cuda")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every line that needs a GPU, and skip it where there is none."""
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if params.get("device") == "cuda":
            item.add_marker(pytest.mark.gpu)
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason=NO_CUDA))


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the model runs."""
    yield request.param
    if request.param == "cuda":
        torch.cuda.empty_cache()


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print what was measured, and say plainly what was not run."""
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", []):
        for name, value in report.user_properties:
            if name == "speed":
                terminalreporter.write_line(value)
    lines = [report.nodeid for report in terminalreporter.stats.get("skipped", []) if NO_CUDA in str(report.longrepr)]
    if lines:
        terminalreporter.section(f"NOT RUN: {len(lines)} lines, because {NO_CUDA}")
        for line in lines:
            terminalreporter.write_line(f"not run  {line}")
    elif torch.cuda.is_available():
        terminalreporter.section("all lines were run, those on the GPU too")
