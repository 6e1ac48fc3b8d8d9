"""The run key changes with everything that decides the result and with nothing else."""

import datetime as dt
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lockstep.run.identity import file_sha256, input_digest, run_key, spec_hash
from lockstep.specs.spec import ScoringSpec

FACTS = {
    "name": "churn",
    "model": {"name": "churn"},
    "schedule": {"cron": "0 6 * * *", "start": "2024-01-01"},
    "input": {
        "query": "features.sql",
        "sources": {"c": {"path": "c", "partition": "day", "days": [0, 0], "columns": {"id": "long"}}},
    },
    "partition": {"column": "day"},
    "key": ["day", "id"],
    "output": {"column": "score"},
    "publish": {"table": "churn_scores"},
}
FILES = st.lists(st.tuples(st.text(), st.text(), st.integers(), st.integers()), max_size=6)


def hashed(texts: dict[str, str] | None = None, **changes: object) -> str:
    """Hash the spec with some keys changed."""
    return spec_hash(ScoringSpec.model_validate({**FACTS, **changes}), texts or {"features.sql": "SELECT 1"})


def test_words_do_not_change_the_spec_hash() -> None:
    schedule = {"cron": "0 7 * * *", "start": "2024-02-01"}
    assert hashed() == hashed(description="other", owner="other", schedule=schedule)


def test_where_checks_are_computed_does_not_change_the_spec_hash() -> None:
    assert hashed() == hashed(limits={"checks_spark_rows": 1})


def test_what_decides_the_result_changes_the_spec_hash() -> None:
    assert (
        len({hashed(), hashed(key=["id", "day"]), hashed({"features.sql": "SELECT 2"}), hashed(limits={"min_rows": 0})})
        == 4
    )


@given(FILES, st.randoms())
def test_the_input_digest_does_not_depend_on_order(files: list[tuple[str, str, int, int]], random: object) -> None:
    shuffled = list(files)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert input_digest(files) == input_digest(shuffled)


def test_every_part_changes_the_run_key() -> None:
    day = dt.date(2024, 1, 1)
    base = {"spec": "a", "partition": day, "model": "b", "data": "c"}
    keys = {run_key(**base)} | {  # type: ignore[arg-type]
        run_key(**{**base, **change})  # type: ignore[arg-type]
        for change in ({"spec": "x"}, {"partition": dt.date(2024, 1, 2)}, {"model": "x"}, {"data": "x"})
    }
    assert len(keys) == 5


def test_file_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert file_sha256(tmp_path / "f").startswith("ba7816bf8f01cfea")
