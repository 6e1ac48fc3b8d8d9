"""What depends on where a model runs: its bits, its memory, its precision, and that a GPU is left alone until then."""

import json
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pytest
import torch
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from lockstep.errors import DeviceMissing, PrecisionRefused
from lockstep.registry.loading import load_scorer
from lockstep.registry.precision import measure_precision
from lockstep.scoring.backends import Execution
from lockstep.scoring.blocks import BlockSizes
from lockstep.scoring.onnx_runner import CUDA, choose_providers
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.torch_program import load_exported
from lockstep.scoring.torch_runner import choose_device
from tests.gpu.networks import KINDS, Greedy
from tests.unit.registry import mlflow_models as models

FLOAT = np.dtype(np.float32)
GIB = 2**30


@pytest.mark.parametrize("name", list(KINDS))
def test_bits_do_not_depend_on_the_batch(tmp_path: Path, device: str, name: str) -> None:
    kind = KINDS[name]
    path, rows = kind.save(tmp_path, device), kind.block_rows[device]
    given = kind.inputs(3 * rows + 1)
    with models.quiet():
        scorer = load_scorer(path, execution=Execution(device=device))
    whole = scorer.score(models.tensor_batch(given))
    assert scorer.device == ("cuda:0" if device == "cuda" else "cpu")
    for start, stop in ((0, 1), (5, 5 + rows), (1, 2 * rows), (7, 7 + 2 * rows + 1)):
        part = scorer.score(models.tensor_batch(given[start:stop]))
        assert part.values.tobytes() == whole.values[start:stop].tobytes()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_the_guard_measures_on_the_device(tmp_path: Path, device: str, precision: str) -> None:
    kind = KINDS["mlp"]
    path = kind.save(tmp_path, device)
    sample = (models.tensor_batch(kind.inputs(4_096)), "4,096 rows")
    execution = Execution(device=device, precision=precision)
    measured = measure_precision(path, execution, title="m version 1", limit=0.05, sample=sample)
    assert measured.device.startswith(device)
    assert 0 < measured.mean_difference < measured.max_difference < 0.05
    with pytest.raises(PrecisionRefused, match=rf"Measured on 4,096 rows on {device}"):
        measure_precision(path, execution, title="m version 1", limit=1e-9, sample=sample)


def test_int8_on_the_device(tmp_path: Path, device: str) -> None:
    kind = KINDS["mlp"]
    path = kind.save(tmp_path, device)
    sample = (models.tensor_batch(kind.inputs(1_000)), "1,000 rows")
    execution = Execution(device=device, precision="int8")
    measured = measure_precision(path, execution, title="m version 1", limit=0.05, sample=sample)
    assert measured.max_difference > 0


@pytest.mark.gpu
def test_a_block_too_large_for_the_gpu_is_made_smaller(tmp_path: Path) -> None:
    """16 GiB are wanted and 4 GiB are allowed: the rows are scored again, in blocks of the base size."""
    signature = ModelSignature(Schema([TensorSpec(FLOAT, (-1, 16))]), Schema([TensorSpec(FLOAT, (-1, 1))]))
    with models.quiet():
        mlflow.pytorch.save_model(
            Greedy().eval(),
            str(tmp_path / "m"),
            signature=signature,
            serialization_format="pickle",
            pip_requirements=["torch"],
        )
        plain = load_scorer(tmp_path / "m", execution=Execution(device="cuda"))
    store = tmp_path / "blocks.json"
    ladder = {"sizes": [64, 4_096, 65_536], "rows_per_s": [1.0, 2.0, 3.0], "best": 65_536}
    store.write_text(json.dumps({"float32[16]": ladder}))
    large = Scorer(plain._backend, plain.signature, block_rows=64, blocks=BlockSizes(64, store=store))
    given = np.random.default_rng(0).normal(size=(70_000, 16)).astype(np.float32)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, 4 * GIB / total))
    try:
        scored = large.score(models.tensor_batch(given))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    assert not scored.reasons
    assert scored.values.tobytes() == plain.score(models.tensor_batch(given)).values.tobytes()


def test_a_gpu_that_is_not_there() -> None:
    count = torch.cuda.device_count()
    found = f"{count} GPUs" if count else "no GPU"
    with pytest.raises(DeviceMissing, match=rf"asks for cuda:99, but torch sees {found}\..*LOCKSTEP_DEVICE=auto"):
        choose_device("cuda:99")
    if not count:
        with pytest.raises(DeviceMissing, match=r"asks for cuda, but torch sees no GPU\..*nvidia-smi"):
            choose_device("cuda")
    if CUDA not in onnxruntime.get_available_providers():
        with pytest.raises(DeviceMissing, match="asks for cuda, but onnxruntime sees only"):
            choose_providers("cuda", onnxruntime.get_available_providers())


@pytest.mark.gpu
def test_onnx_runtime_on_the_gpu(tmp_path: Path) -> None:
    if CUDA not in onnxruntime.get_available_providers():
        pytest.skip(f"the installed onnxruntime has no {CUDA} (package onnxruntime-gpu)")
    outputs = Schema([TensorSpec(FLOAT, (-1, 2), "values")])
    signature = ModelSignature(Schema([TensorSpec(FLOAT, (-1, 6))]), outputs)
    with models.quiet():
        mlflow.onnx.save_model(
            models.graph(models.trained()), str(tmp_path / "m"), signature=signature, pip_requirements=["onnxruntime"]
        )
    batch = models.tensor_batch(models.features(500).to_numpy(np.float32))
    on_gpu = load_scorer(tmp_path / "m", execution=Execution(device="cuda"))
    on_cpu = load_scorer(tmp_path / "m", execution=Execution(device="cpu"))
    assert on_gpu.device == "cuda:0"
    np.testing.assert_allclose(on_gpu.score(batch).values, on_cpu.score(batch).values, atol=1e-5)


class Placed(torch.nn.Module):
    """Makes a constant while it runs, on the device that it was exported on."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Weigh columns by their place."""
        return (given * torch.arange(6, device=given.device)).sum(dim=1)


def test_constants_of_an_exported_program_move_too(tmp_path: Path, device: str) -> None:
    rows = torch.export.Dim("rows", min=2, max=1024)
    program = torch.export.export(Placed(), (torch.zeros(4, 6),), dynamic_shapes=({0: rows},))
    torch.export.save(program, tmp_path / "network.pt2")
    forward = load_exported(tmp_path / "network.pt2", torch.device(device))
    (result,) = forward(torch.ones(8, 6, device=device))
    assert result.tolist() == [15.0] * 8


IMPORTS = """
import os, sys
import lockstep.registry.loading, lockstep.registry.precision, lockstep.scoring.engine, lockstep.scoring.torch_backend
import lockstep.scoring.torch_runner, lockstep.registry.pytorch_flavor, lockstep.registry.onnx_flavor
import udfs.worker, udfs.bulk, udfs.column
import torch
assert not torch.cuda.is_initialized(), "importing udfs or lockstep has started CUDA"
lockstep.scoring.torch_runner.choose_device("auto")
assert not torch.cuda.is_initialized(), "choosing a device has started CUDA"
child = os.fork()
if child == 0:
    try:
        total = torch.ones(3, device=sys.argv[1]).sum().item()
    except Exception as error:
        print(error, file=sys.stderr)
        os._exit(1)
    os._exit(0 if total == 3.0 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_cuda_is_not_touched_before_the_fork(device: str) -> None:
    """Spark forks its workers from one process; CUDA that was started before cannot be used in any of them."""
    command = [sys.executable, "-W", "ignore", "-c", IMPORTS, device]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
