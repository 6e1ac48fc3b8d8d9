"""The Scorer against a bare torch loop over the same decoded rows, in blocks of the same size."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lockstep.registry.loading import load_scorer
from lockstep.scoring.backends import Execution
from lockstep.scoring.torch_runner import DTYPES
from tests.gpu.networks import KINDS
from tests.unit.registry.mlflow_models import quiet, tensor_batch

# The promise is 90 %. A processor that is shared with other tests is no place to hold anybody to it.
WANTED = {"cuda": 0.90, "cpu": 0.60}
ROUNDS = 5


def bare(network: torch.nn.Module, given: np.ndarray, *, device: str, block_rows: int, precision: str) -> np.ndarray:
    """What one writes by hand: a block to the device, through the network, and back."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(given), block_rows):
            block = torch.from_numpy(given[start : start + block_rows]).to(device)
            if precision == "float32":
                result = network(block)
            else:
                with torch.autocast(device, dtype=DTYPES[precision]):
                    result = network(block)
            found.append(result.float().cpu().numpy())
    return np.concatenate(found)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", list(KINDS))
def test_the_scorer_keeps_up_with_a_bare_loop(
    tmp_path: Path, device: str, name: str, precision: str, record_property: Callable[[str, object], None]
) -> None:
    kind = KINDS[name]
    rows, block_rows = kind.rows[device], kind.block_rows[device]
    given = kind.inputs(rows)
    with quiet():
        path = kind.save(tmp_path, device)
        scorer = load_scorer(path, execution=Execution(device=device, precision=precision))
    network, batch = kind.network(device).to(device), tensor_batch(given)
    expected = bare(network, given, device=device, block_rows=block_rows, precision=precision)
    np.testing.assert_allclose(scorer.score(batch).values[:, None], expected, atol=1e-6 if device == "cpu" else 1e-3)
    took: dict[str, list[float]] = {"bare": [], "scorer": []}
    for _ in range(ROUNDS):  # in turns, so that what else runs here disturbs both
        clock = time.perf_counter()
        bare(network, given, device=device, block_rows=block_rows, precision=precision)
        took["bare"].append(time.perf_counter() - clock)
        clock = time.perf_counter()
        scorer.score(batch)
        took["scorer"].append(time.perf_counter() - clock)
    ratio = min(took["bare"]) / min(took["scorer"])
    speed = f"{rows / min(took['scorer']):,.0f} rows/s, {ratio:.2f} of a bare loop on {torch.get_num_threads()} threads"
    record_property("speed", f"{device} {name} {precision}: {speed}")
    assert ratio >= WANTED[device]
