"""Where files lie, whatever a model is called, and what they hold when they are large."""

from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from lockstep.serving.inference_log import files
from lockstep.serving.inference_log.files import finish, hour_folder, model_folder
from tests.unit.serving.inference_log.test_spool import BATCHES, spool_in


@pytest.mark.parametrize("name", ["plain", "a b", "../../etc", "..", ".", ".hidden", "a/b", "50%", "é", "a=b"])
def test_a_model_has_one_folder_below_the_log(name: str, tmp_path: Path) -> None:
    folder = model_folder(tmp_path, name)
    assert folder.parent == tmp_path
    assert folder.resolve() == folder
    assert not folder.name.startswith(".")
    folder.mkdir()


def test_models_do_not_share_a_folder(tmp_path: Path) -> None:
    names = ["a", "A", "a/b", "a%2Fb", ".a", "%2Ea", "a b", "a%20b"]
    assert len({model_folder(tmp_path, name) for name in names}) == len(names)


def test_hours_are_in_utc(tmp_path: Path) -> None:
    assert hour_folder(tmp_path, "m", 0) == tmp_path / "m" / "date=1970-01-01" / "hour=00"
    assert hour_folder(tmp_path, "m", 24 * 59 + 23) == tmp_path / "m" / "date=1970-03-01" / "hour=23"


def test_small_batches_become_row_groups_of_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "group_rows", lambda _: 50)
    spool = spool_in(tmp_path)
    for each in BATCHES * 4:
        spool.append(each)
    spool.close()
    file = finish(tmp_path, spool.path)
    assert file is not None
    footer = pq.read_metadata(file)
    groups = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
    assert groups == [53] * 4


def test_the_log_is_a_table_with_partitions(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.append(BATCHES[0])
    spool.close()
    finish(tmp_path, spool.path)
    table = f"read_parquet('{tmp_path}/toy/**/*.parquet')"
    query = f"SELECT date, hour, model_version, count(*), sum(row) FROM {table} GROUP BY ALL"
    [(day, hour, version, rows, places)] = duckdb.sql(query).fetchall()
    assert (str(day), int(hour), version, rows, places) == ("2019-12-20", 7, 3, 3, 3)
