"""`lockstep parity` as a user meets it: Spark on one side, real HTTP on the other."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from endpoints import serving
from world import ROWS, World

DAY = "2024-01-03"


@pytest.mark.slow
def test_parity_finds_no_difference_between_spark_and_endpoint(world: World) -> None:
    done = world.run("parity", "churn", "--date", DAY, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert (facts["rows"], facts["differing_rows"], facts["max_abs_difference"]) == (ROWS, 0, 0.0)
    assert facts["answers_compared"] == ROWS * 16
    assert facts["batch_model"] == facts["endpoint_model"]
    assert world.published(DAY) == []
    assert world.run("parity", "churn", "--published", "--json").stdout.splitlines()[-1] == (
        '{"spec": "churn", "partition": null, "rows": 0}'
    )
    assert world.score(DAY)["run_folder"] == facts["run_folder"]
    # Again, over the same run and another endpoint; one changed bit in the staged file is found.
    staged = next((Path(facts["run_folder"]) / "staging").glob("*/*.parquet"))
    table = pq.read_table(staged)
    scores = table["risk"].to_numpy().copy()
    scores[3] = np.nextafter(scores[3], 1)
    pq.write_table(table.set_column(table.column_names.index("risk"), "risk", [scores]), staged)
    with serving(world) as endpoint:
        again = world.run("parity", "churn", "--date", DAY, "--url", endpoint.url)
        live = world.run("parity", "churn", "--published", "--rows", str(ROWS), "--url", endpoint.url, "--json")
    assert again.returncode == 10
    assert "differing rows 1" in " ".join(again.stdout.split())
    told = json.loads(live.stdout.splitlines()[-1])
    assert (told["partition"], told["rows"], told["run_folder"]) == (DAY, ROWS, facts["run_folder"])
    assert (live.returncode, told["differing_rows"]) == (10, 1)


def test_parity_with_an_endpoint_that_is_not_there_is_one_clear_error(world: World) -> None:
    done = world.run("parity", "churn", "--date", DAY, "--url", "http://127.0.0.1:9")
    assert done.returncode == 75
    assert "the endpoint at http://127.0.0.1:9 does not answer" in done.stderr
