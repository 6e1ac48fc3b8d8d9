"""Runs in the data environment: `python -m lockstep.doctor.probe WHAT`; prints one JSON document as its last line."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from lockstep.errors import ExtraMissing, LockstepError, ModelNotFound
from lockstep.specs.secrets import without_secrets
from lockstep.specs.settings import Settings

WAIT_S = 1.0


def registry(*models: str) -> dict[str, Any]:
    """Return the aliases of registered models; none for a model that is not there."""
    from lockstep.registry.resolve import list_versions

    uri = Settings.from_env(os.environ).tracking_uri
    found: dict[str, Any] = {}
    for model in models:
        try:
            found[model] = {alias: version for version, aliases in list_versions(uri, model) for alias in aliases}
        except ModelNotFound:
            found[model] = None
    return found


def warehouse(kind: str) -> dict[str, Any]:
    """Open a warehouse for reading, and return how many tables it has."""
    from lockstep.publish.warehouse import open_warehouse

    where = Settings.from_env(os.environ)
    return {"tables": len(open_warehouse(kind, where.warehouse(kind), wait_s=WAIT_S).tables())}


def gpu() -> dict[str, Any]:
    """Return what torch sees."""
    import torch

    seen = torch.cuda.is_available()
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())] if seen else []
    return {"torch": torch.__version__, "cuda": torch.version.cuda, "gpus": names}


PROBES: dict[str, Callable[..., dict[str, Any]]] = {"registry": registry, "warehouse": warehouse, "gpu": gpu}


def main(name: str, *arguments: str) -> None:
    """Print what a probe returns, or what was wrong."""
    try:
        told = PROBES[name](*arguments)
    except LockstepError as error:
        kind = "missing" if isinstance(error, ExtraMissing) else "busy" if error.retryable else "error"
        told = {kind: without_secrets(str(error).splitlines()[0])}
    print(json.dumps(told))  # noqa: T201 - that is how it answers


if __name__ == "__main__":
    main(*sys.argv[1:])
