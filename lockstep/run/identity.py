"""Hashes that name things: the spec, the input and the run.

`run_key` = hash(spec hash, partition, model digest, input digest): the same key is the same result.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from lockstep.specs.spec import ScoringSpec
from lockstep.storage.files import Location
from lockstep.storage.objects import ObjectPath

# Keys that decide neither a published value nor whether it is published. (What a canary publishes is in the run key.)
NOT_RESULT: dict[str, Any] = {
    **dict.fromkeys(("description", "owner", "schedule", "reporting", "retention", "trial", "labels", "alerts"), True),
    **dict.fromkeys(("refresh", "parity", "training", "online"), True),
    "limits": {"checks_spark_rows": True},
}
RUN_KEY_DIGITS = 16
CHUNK_BYTES = 1 << 20


def canonical_digest(value: Any) -> str:
    """Return the sha256 of a JSON value in canonical form (sorted keys, no spaces), in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Location) -> str:
    """Return the sha256 of a file, in hex."""
    if isinstance(path, ObjectPath):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def spec_hash(spec: ScoringSpec, texts: Mapping[str, str]) -> str:
    """Hash what decides the result of a spec.

    Args:
        spec: The spec; what is none of its result (`NOT_RESULT`), such as owner, schedule and where checks are
            computed do not count.
        texts: Text of the files it names (query, checks), by relative path.
    """
    return canonical_digest({"spec": spec.model_dump(mode="json", exclude=NOT_RESULT), "texts": dict(texts)})


def input_digest(files: Iterable[tuple[str | int, ...]]) -> str:
    """Hash an input snapshot given as (view, path, size in bytes, mtime in ns, version if any), in any order."""
    return canonical_digest(sorted(files))


def run_key(*, spec: str, partition: dt.date, model: str, data: str, canary: str | None = None) -> str:
    """Combine the hashes of spec, model artifact and input into the key of a run.

    Args:
        spec: Hash of the spec.
        partition: The day.
        model: Digest of the model.
        data: Digest of the input.
        canary: Digest of the canary that is to publish some rows; none: the key is that of a run without one.
    """
    further = [] if canary is None else [canary]
    return canonical_digest([spec, partition.isoformat(), model, data, *further])[:RUN_KEY_DIGITS]
