"""Schemathesis reads the endpoint's own description and tries to break a running endpoint.

Every case must be answered with a documented status, content type, headers and body, never with a server error; valid
JSON must be accepted, invalid refused. `make test-schema CASES=50000` runs longer.
"""

import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoints import Endpoint, serving
from every_type import COLUMNS, add_models
from world import ROOT, World

CASES = int(os.environ.get("LOCKSTEP_SCHEMA_CASES", "400"))
SEED = os.environ.get("LOCKSTEP_SCHEMA_SEED", "1")
CONFIG = Path(__file__).parent / "schemathesis.toml"


@pytest.fixture(scope="module")
def endpoint(world: World) -> Iterator[Endpoint]:
    """Two models that score whatever fits their signatures."""
    with serving(world, "--config", str(add_models(world)), spec=None) as running:
        yield running


def operations_of(endpoint: Endpoint) -> int:
    _, _, document = endpoint.ask("/openapi.json")
    return sum(len(methods) for methods in document["paths"].values())


def statuses_of(endpoint: Endpoint) -> Counter[int]:
    # The last line may be half written; paths may hold what str.splitlines() takes for the end of a line.
    *lines, _ = endpoint.log.read_text().split("\n")
    return Counter(json.loads(line)["status"] for line in lines if line.startswith('{"time"'))


@pytest.mark.slow
def test_no_generated_request_gets_an_undocumented_answer(endpoint: Endpoint, tmp_path: Path) -> None:
    each = math.ceil(CASES / operations_of(endpoint))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"]
    command += [f"{endpoint.url}/openapi.json", "--max-examples", str(each), "--seed", SEED]
    command += ["--generation-database", "none", "--no-color"]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,  # it leaves a folder behind
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)  # cases and duration, for who runs it by hand
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert found is not None, done.stdout
    assert int(found[1]) == int(found[2]) >= CASES
    statuses = statuses_of(endpoint)
    assert statuses.keys() <= {200, 400, 404, 405, 409, 415}
    assert statuses[200] > 0.1 * statuses.total(), "most of what is tried is invalid, but not all"
    assert "Traceback" not in endpoint.log.read_text()


def test_after_all_that_a_good_request_is_answered(endpoint: Endpoint) -> None:
    _, _, document = endpoint.ask("/openapi.json")
    examples = document["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        status, headers, _ = endpoint.ask("/invocations", example["value"])
        assert (status, headers["x-lockstep-model-name"]) == (200, COLUMNS)
