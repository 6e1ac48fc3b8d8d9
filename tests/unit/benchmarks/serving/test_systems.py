import pytest

from benchmarks.job import Job
from benchmarks.serving.asking import PROTOCOLS
from benchmarks.serving.reading import READERS
from benchmarks.serving.systems import SYSTEMS, filled_in
from tools.environment import ENVIRONMENTS

JOB = Job("mlp20", 64, 2, "data", "model", "sqlite:///x", "registered", 7, "path/of/model")


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_can_be_started_and_asked(name: str) -> None:
    system = SYSTEMS[name]
    command, variables = filled_in(system, JOB, ports=[1001, 1002, 1003])
    assert "{" not in "".join([*command, *variables.values()])
    assert "1001" in [*command, *variables.values()]
    assert {PROTOCOLS[protocol].reader for protocol in (*system.protocols, *system.further)} <= READERS.keys()
    assert system.environment in {environment.folder for environment in ENVIRONMENTS.values()}
    assert system.packages
