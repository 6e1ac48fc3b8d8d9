"""What makes an MLflow model one of Lockstep's: the artifacts that `lockstep.registry.packaging` writes beside it.

The signature keeps the data's own types, so MLflow's peers are not made to convert.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lockstep.registry.packaging import ARTIFACT_FORMAT
from lockstep.scoring.profile import Profile


def rows_dimension() -> Any:
    """Return the dimension of any number of rows."""
    return torch.export.Dim("rows", min=1, max=1 << 20)


@contextmanager
def lockstep_artifacts(
    network: torch.nn.Module,
    *,
    example: tuple[torch.Tensor, ...],
    shapes: tuple[Any, ...],
    encoding: Mapping[str, Any],
    baseline: Profile | None,
) -> Iterator[dict[str, Path]]:
    """Write network, encoding and baseline to a scratch folder; give their paths by artifact name."""
    with tempfile.TemporaryDirectory() as scratch:
        paths = {
            name: Path(scratch, file) for name, file in (("network", "network.pt2"), ("encoding", "encoding.json"))
        }
        program = torch.export.export(network.eval(), example, dynamic_shapes=shapes)
        torch.export.save(program, paths["network"])
        paths["encoding"].write_text(json.dumps(encoding), encoding="utf-8")
        if baseline is not None:
            paths["baseline"] = Path(scratch, "baseline.json")
            paths["baseline"].write_text(json.dumps(baseline.to_json()), encoding="utf-8")
        yield paths


def lockstep_metadata(backend: str, *, block_rows: int) -> dict[str, Any]:
    """Return the model's metadata that names the backend."""
    return {"lockstep": {"format": ARTIFACT_FORMAT, "backend": backend, "block_rows": block_rows}}
