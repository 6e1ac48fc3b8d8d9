import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from lockstep.errors import PublishError, WarehouseLocked
from lockstep.publish.patience import Patience
from lockstep.publish.sql.duckdb_connection import connected
from lockstep.publish.sql.duckdb_engine import DuckDBEngine

HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@contextmanager
def held(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that has the file open for writing."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_locked_file_names_its_holder(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "w.duckdb"
    with (
        held(path) as child,
        pytest.raises(WarehouseLocked, match=rf"locked by process {child.pid} \(.+\); waited") as caught,
        connected(path, Patience(0.2), read_only=read_only),
    ):
        pass
    assert caught.value.retryable


def test_it_waits_for_the_lock_with_growing_pauses(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    pauses: list[float] = []
    with held(path) as child:

        def release(pause_s: float) -> None:
            pauses.append(pause_s)
            if len(pauses) == 4:
                child.kill()
                child.wait()

        patience = Patience(60, clock=lambda: 0.0, sleep=release, jitter=lambda: 0.5)
        with connected(path, patience) as connection:
            connection.execute("CREATE TABLE t (x INT)")
    assert pauses == pytest.approx([0.05, 0.1, 0.2, 0.4])


def test_the_file_is_free_after_the_body_whatever_happened(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    engine = DuckDBEngine(str(path), wait_s=0)
    with (
        pytest.raises(PublishError, match=r"Catalog Error: Table with name nothing.*what was live stays"),
        engine.transaction() as session,
    ):
        session.rows("FROM nothing")
    with held(path):
        pass


@pytest.mark.parametrize("make", ["garbage", "folder", "below a file"])
def test_an_unusable_file_is_one_clear_error(tmp_path: Path, make: str) -> None:
    path = tmp_path / "w.duckdb"
    if make == "garbage":
        path.write_bytes(b"not a database" * 1000)
    elif make == "folder":
        path.mkdir()
    else:
        path.write_text("a file")
        path = path / "w.duckdb"
    with (
        pytest.raises(PublishError, match=r"cannot be opened: .*Check that LOCKSTEP_WAREHOUSE"),
        connected(path, Patience(9)),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_clear_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PublishError, match="Permission denied"), connected(tmp_path / "w.duckdb", Patience(0)):
        pass


def test_no_extension_is_fetched_and_nothing_is_drawn(tmp_path: Path) -> None:
    with connected(tmp_path / "w.duckdb", Patience(0)) as connection:
        names = ["autoinstall_known_extensions", "autoload_known_extensions", "enable_progress_bar", "TimeZone"]
        values = [connection.execute(f"SELECT current_setting('{name}')").fetchall() for name in names]
    assert values == [[(False,)], [(False,)], [(False,)], [("UTC",)]]


def _update(path: Path) -> None:
    with connected(path, Patience(5)) as connection:
        connection.begin()
        connection.execute("UPDATE t SET x = 3")


def test_a_conflict_between_threads_is_retryable(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with duckdb.connect(str(path)) as setup:
        setup.execute("CREATE TABLE t (x INT); INSERT INTO t VALUES (1)")
    first_is_in, second_is_done = threading.Event(), threading.Event()

    def hold() -> None:
        with connected(path, Patience(5)) as connection:
            connection.begin()
            connection.execute("UPDATE t SET x = 2")
            first_is_in.set()
            second_is_done.wait(10)
            connection.commit()

    thread = threading.Thread(target=hold)
    thread.start()
    first_is_in.wait(10)
    try:
        with pytest.raises(WarehouseLocked, match="another transaction of this process"):
            _update(path)
    finally:
        second_is_done.set()
        thread.join()


def test_a_file_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    path.write_bytes(b"\0")
    made = threading.Timer(0.4, path.unlink)
    made.start()
    with connected(path, Patience(10.0)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    path.unlink()
    path.write_bytes(b"no database")
    os.utime(path, (0, 0))
    with pytest.raises(PublishError, match="not a valid DuckDB"), connected(path, Patience(10.0)):
        pass
