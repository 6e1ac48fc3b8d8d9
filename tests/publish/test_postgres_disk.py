"""A PostgreSQL whose disk is full refuses a publication; with room again, the same request goes through."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lockstep.errors import PublishError
from lockstep.publish.contract import PublishRequest
from tests.publish.places import Place
from tests.publish.postgres_server import Server, running
from tests.publish.staged import DAY

Request = Callable[..., PublishRequest]

ROWS = 300_000
# More than a segment of its log has, less than the rows take; the shell counts blocks of 512 bytes or 1 KiB.
FILE_BLOCKS = 36_000


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractContextManager[Server]]:
    """Start the one cluster of this test, with or without room."""

    @contextlib.contextmanager
    def start(**limits: int) -> Iterator[Server]:
        with running(tmp_path, **limits) as started:
            monkeypatch.setenv("PGPASSWORD", started.cluster.password)
            yield started

    return start


@pytest.mark.slow
def test_a_full_disk(server: Callable[..., AbstractContextManager[Server]], request_for: Request) -> None:
    """No file of the server may grow beyond some size, which it answers as it does when the disk is full."""
    with server() as usual:
        place = Place("postgresql", usual.create("w"))
        place.open().publish(request_for("old", place.claim("old")))
        token = place.claim("a")
    request = request_for("a", token, rows=ROWS)
    with server(file_blocks=FILE_BLOCKS) as full:
        place = Place("postgresql", full.location("w"))
        for _ in range(2):
            with pytest.raises(PublishError, match=r"File too large.*Nothing was published and what was live stays"):
                place.open().publish(request)
        assert place.live() == [(DAY, "old", 6)]
    with server() as roomy:
        place = Place("postgresql", roomy.location("w"))
        assert place.open().publish(request).outcome == "published"
        assert place.live() == [(DAY, "a", ROWS)]
