"""What a killed process had written is found, whole and once."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.serving.inference_log.files import finish
from lockstep.serving.inference_log.layout import layout_of
from lockstep.serving.inference_log.retention import finish_abandoned
from lockstep.serving.inference_log.spool import OPEN, Spool, claimed, hour_of, reading, stem_of
from tests.unit.serving.inference_log.micro_batches import layout
from tests.unit.serving.inference_log.test_recording import entries_of, record, trace

HOUR = 24 * 365 * 50 + 7  # 1 January 1970 + 50 * 365 days, seven o'clock


def batch(number: int, rows: int) -> pa.RecordBatch:
    return record(
        entries_of(layout(), [(trace(f"r{number}"), number, rows)]),
        take_ids=lambda n: range(number * 100, number * 100 + n),
        salt=b"",
    )


BATCHES = [batch(number, rows) for number, rows in enumerate((3, 1, 40, 2, 7))]


def spool_in(root: Path, name: str = "w-1") -> Spool:
    return Spool.create(root / OPEN, name, layout().arrow_schema, hour=HOUR, now=0.0)


def ids(path: Path) -> list[int]:
    found: list[int] = pq.read_table(path, partitioning=None).column("log_id").to_pylist()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[int]]:
    """The bytes of a spool, and how long it was after each batch."""
    spool, ends = spool_in(tmp_path_factory.mktemp("whole")), []
    for each in BATCHES:
        spool.append(each)
        ends.append(spool.path.stat().st_size)
    spool.close()
    return spool.path.read_bytes(), ends


@given(share=st.floats(0, 1))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wherever_its_writer_was_killed_the_whole_batches_become_a_whole_file(
    share: float, whole: tuple[bytes, list[int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content, ends = whole
    cut, root = round(share * len(content)), tmp_path_factory.mktemp("cut")
    (root / OPEN).mkdir()
    torn = root / OPEN / f"w-1.{HOUR}.arrows"
    torn.write_bytes(content[:cut])
    kept = [each for each, end in zip(BATCHES, ends, strict=True) if end <= cut]
    [*files] = finish_abandoned(root)
    assert sorted(path.name for path in (root / OPEN).iterdir()) == []
    if not kept:
        assert files == []
        return
    [file] = files
    assert file == root / "toy" / "date=2019-12-20" / "hour=07" / "v3-w-1.parquet"
    found = pq.read_table(file, partitioning=None)
    assert (
        found.combine_chunks()
        .to_batches()[0]
        .equals(pa.concat_batches(kept).replace_schema_metadata(found.schema.metadata))
    )
    assert layout_of(found.schema) == layout()


def test_appended_rows_are_on_disk_without_an_end(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    for number, each in enumerate(BATCHES):
        spool.append(each)
        with reading(spool.path) as (_, batches):
            assert [found.num_rows for found in batches] == [b.num_rows for b in BATCHES[: number + 1]]
    assert (spool.rows, spool.nbytes) == (53, sum(each.nbytes for each in BATCHES))
    spool.close()


def test_a_spool_that_is_written_belongs_to_its_writer(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.append(BATCHES[0])
    with claimed(spool.path) as mine:
        assert not mine
    assert finish(tmp_path, spool.path) is None
    assert finish_abandoned(tmp_path) == []
    assert spool.path.exists()
    spool.close()
    with pytest.raises(ValueError, match="is closed"):
        spool.append(BATCHES[0])
    [file] = finish_abandoned(tmp_path)
    assert ids(file) == BATCHES[0].column("log_id").to_pylist()
    assert finish(tmp_path, spool.path) is None  # it is gone


def test_finished_twice_it_is_one_file(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.append(BATCHES[2])
    spool.close()
    content = spool.path.read_bytes()
    first = finish(tmp_path, spool.path)
    # Killed after the file was there and before the spool was gone, with what it had been writing before.
    spool.path.write_bytes(content)
    spool.path.with_suffix(".partial").write_bytes(b"PAR1 half a file")
    assert finish_abandoned(tmp_path) == [first]
    assert first is not None
    assert ids(first) == BATCHES[2].column("log_id").to_pylist()
    assert list((tmp_path / OPEN).iterdir()) == []
    assert list(tmp_path.rglob("*.parquet")) == [first]


def test_a_file_that_cannot_be_written_leaves_its_spool_for_later(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.append(BATCHES[0])
    spool.close()
    (tmp_path / "toy").write_text("in the way")
    with pytest.raises(NotADirectoryError):
        finish(tmp_path, spool.path)
    assert [path.name for path in (tmp_path / OPEN).iterdir()] == [spool.path.name]
    (tmp_path / "toy").unlink()
    assert len(finish_abandoned(tmp_path)) == 1


def test_a_spool_that_cannot_be_read_keeps_no_other_waiting(tmp_path: Path) -> None:
    (tmp_path / OPEN).mkdir()
    with pa.OSFile(str(tmp_path / OPEN / "a.1.arrows"), "wb") as sink, pa.ipc.new_stream(sink, strange().schema) as out:
        out.write_batch(strange())
    spool = spool_in(tmp_path)
    spool.append(BATCHES[0])
    spool.close()
    with pytest.raises(ValueError, match="does not say which model"):
        finish_abandoned(tmp_path)
    assert [path.name for path in (tmp_path / OPEN).iterdir()] == ["a.1.arrows"]
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


def strange() -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"x": [1]})


def test_a_name_says_hour_and_file() -> None:
    assert (hour_of(Path("a/w-000001.455.arrows")), stem_of(Path("a/w-000001.455.arrows"))) == (455, "w-000001")


def test_no_two_spools_have_a_name(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    (tmp_path / OPEN / "w-2.new").touch()
    with pytest.raises(FileExistsError):
        spool_in(tmp_path, "w-2")
    spool.close()
