"""What a Spark Python worker keeps between tasks: the loaded models, one load per process."""

import gc
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from lockstep.registry.cache import fetch_artifact
from lockstep.registry.environment import Policy, require_environment
from lockstep.registry.loading import baseline, load_scorer
from lockstep.run.plan import ModelIdentity
from lockstep.scoring.backends import Execution
from lockstep.scoring.memory import keep_freed_memory
from lockstep.scoring.profile import Profile
from lockstep.scoring.scorer import Scorer

# A champion and a few challengers.
MODELS_PER_WORKER = 4


@lru_cache(maxsize=MODELS_PER_WORKER)
def _loaded(artifact: Path, execution: Execution, *, environment: Policy, title: str) -> tuple[Scorer, Profile | None]:
    require_environment(artifact, environment, title=title)
    keep_freed_memory()
    # Spark runs one worker per core, so a worker is one thread of computing; Arrow would take all cores for each.
    pa.set_cpu_count(1)
    return load_scorer(artifact, execution=execution, search=True), baseline(artifact)


def load_once(
    model: ModelIdentity,
    cache_root: str,
    *,
    device: str = "auto",
    precision: str = "float32",
    environment: Policy = "warn",
) -> tuple[Scorer, Profile | None]:
    """Return the Scorer of a frozen model and its training baseline, loaded at most once per worker process.

    Args:
        model: Of the plan.
        cache_root: Node cache of artifacts.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: Of the plan, which measured a reduced one.
        environment: What to do when this node's libraries are not the model's.

    Raises:
        ArtifactInvalid: The artifact is not what was planned, or cannot be loaded.
        RequirementsDiffer: This node's libraries are not the model's, and that is refused.
        DeviceMissing: A GPU is asked for and there is none.
    """
    artifact = fetch_artifact(model, Path(cache_root))
    execution = Execution(device=device, precision=precision)
    return _loaded(artifact, execution, environment=environment, title=f"{model.name} version {model.version}")


@lru_cache(maxsize=MODELS_PER_WORKER)
def keep_loaded(digest: str) -> None:  # noqa: ARG001 - once for each
    """Spare what a model brought from the garbage collector, once the model has scored for the first time.

    PySpark collects garbage after each task. Libraries and model stay for the life of the process; looking through
    them takes longer than a small unit. Many of their objects are only made when a model first scores.
    """
    gc.collect()
    gc.freeze()


def assigned_device(wanted: str) -> str:
    """Return the GPU that Spark assigned to the running task as `cuda:N`, or `wanted` when it assigned none.

    An executor that sees only its own GPU (CUDA_VISIBLE_DEVICES) counts it as number 0 whatever its address is.
    """
    from pyspark import TaskContext

    context = TaskContext.get()
    gpus = context.resources().get("gpu") if context is not None else None
    if wanted == "cpu" or gpus is None or not gpus.addresses:
        return wanted
    import torch

    address = int(gpus.addresses[0])
    return f"cuda:{address}" if address < torch.cuda.device_count() else "cuda:0"
