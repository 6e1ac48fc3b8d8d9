"""What a Spark Python worker keeps between tasks: the loaded models, one load per process."""

from functools import lru_cache
from pathlib import Path

from lockstep.registry.cache import fetch_artifact
from lockstep.registry.loading import baseline, load_scorer
from lockstep.run.plan import ModelIdentity
from lockstep.scoring.profile import Profile
from lockstep.scoring.scorer import Scorer

MODELS_PER_WORKER = 2


@lru_cache(maxsize=MODELS_PER_WORKER)
def _loaded(artifact: Path) -> tuple[Scorer, Profile | None]:
    return load_scorer(artifact), baseline(artifact)


def load_once(model: ModelIdentity, cache_root: str) -> tuple[Scorer, Profile | None]:
    """Return the Scorer of a frozen model and its training baseline, loaded at most once per worker process."""
    return _loaded(fetch_artifact(model, Path(cache_root)))
