"""A process of a node: fetches a frozen model into a node cache, as every Spark worker does; says `fetched PATH`."""

import sys
from pathlib import Path

from lockstep.errors import LockstepError
from lockstep.registry.cache import fetch_artifact
from lockstep.run.plan import ModelIdentity


def main(identity: str, cache_root: str) -> int:
    """Fetch; an error of ours is one line."""
    try:
        path = fetch_artifact(ModelIdentity.model_validate_json(identity), Path(cache_root))
    except LockstepError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return 1
    print(f"fetched {path}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
