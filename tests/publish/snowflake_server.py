"""Snowflake's protocol on this machine: fakesnow, over DuckDB, spoken to by Snowflake's own connector."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

CONNECTION = "emulator"
KEPT = 16


class Emulator:
    """A server that makes a database of any name when somebody connects to it."""

    def create(self, name: str) -> str:
        """Return the location of an empty warehouse of its own."""
        return f"{CONNECTION}/{name.upper()}/SCORES"


class LatestAnswers(dict[str, tuple[Any, ...]]):
    """Answers by statement, of the latest ones."""

    def __setitem__(self, statement: str, answer: tuple[Any, ...]) -> None:
        super().__setitem__(statement, answer)
        if len(self) > KEPT:
            del self[next(iter(self))]


@contextmanager
def emulating(home: Path) -> Iterator[Emulator]:
    """Start the emulator, and describe the connection to it as users do.

    The connector reads the environment when it connects; it reads a `connections.toml` of SNOWFLAKE_HOME when it is
    imported, which other tests may have done.

    Mended: it says 1970 for a missing moment, and it keeps the answer to every statement. Of DuckDB's, one row takes a
    hundred megabytes of address space, so after some hundred statements the process could no longer fork.
    """
    import fakesnow
    import fakesnow.arrow

    serve = fakesnow.server  # a function, until the module of that name is imported
    from fakesnow.server import shared_fs

    answered = fakesnow.arrow.timestamp_to_sf_struct

    def mended(moments: pa.ChunkedArray) -> pa.Array:
        whole = moments.combine_chunks()
        struct = answered(whole)
        parts = [struct.field(place) for place in range(struct.type.num_fields)]
        return pa.StructArray.from_arrays(parts, fields=list(struct.type), mask=whole.is_null())

    with serve() as found, pytest.MonkeyPatch.context() as patch:
        plain = {name: value for name, value in found.items() if not isinstance(value, dict)}
        # The emulator's own bound of a second is less than a busy machine takes to answer.
        lines = [f"{name} = {json.dumps(value)}" for name, value in {**plain, "network_timeout": 60}.items()]
        patch.setenv("SNOWFLAKE_HOME", str(home))
        patch.setenv("SNOWFLAKE_CONNECTIONS", "\n".join([f"[{CONNECTION}]", *lines]))
        patch.setattr(fakesnow.arrow, "timestamp_to_sf_struct", mended)
        patch.setattr(shared_fs, "results_cache", LatestAnswers())
        yield Emulator()
