"""The very texts that go to BigQuery: what an emulator takes need not be what BigQuery takes."""

import datetime as dt
import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lockstep.publish.bigquery.connection import Dataset, quoted
from lockstep.publish.bigquery.script import (
    CLAIM_TYPES,
    LEDGER_TYPES,
    PARAMETER_TYPES,
    Replacement,
    Script,
    append_script,
    claim_script,
    publish_script,
)

DATASET = Dataset("p", "d", "EU")
FACTS: dict[str, object] = dict.fromkeys(LEDGER_TYPES)
NEW = Replacement("t", partition_column="day", there=3, staged=("s_0", "s_1"), columns=["day", "Score"], rows=5)
LEDGER_INSERT = re.compile(
    r"INSERT INTO `p\.d\.lockstep_ledger` \(`entry`, (.*)\) "
    r"SELECT COALESCE\(MAX\(entry\), 0\) \+ 1, (.*) FROM `p\.d\.lockstep_ledger`;\n"
)


def test_a_publication() -> None:
    text = publish_script(DATASET, FACTS, seen=7, replacement=NEW).text
    expected = """\
BEGIN TRANSACTION;
UPDATE `p.d.lockstep_lock_ledger` SET held = 1 - held WHERE TRUE;
IF (SELECT COALESCE(MAX(entry), 0) FROM `p.d.lockstep_ledger` WHERE table_name = @p_table_name AND partition_date = \
@p_partition_date) <> @p_seen THEN
  RAISE USING MESSAGE = 'lockstep: another run was planned or published meanwhile';
END IF;
IF (SELECT COUNT(*) FROM `p.d.t` WHERE `day` = @p_partition_date) <> @p_there THEN
  RAISE USING MESSAGE = 'lockstep: another run was planned or published meanwhile';
END IF;
DELETE FROM `p.d.t` WHERE `day` = @p_partition_date;
INSERT INTO `p.d.t` (`day`, `Score`) SELECT `day`, `Score` FROM `p.d.s_0` UNION ALL SELECT `day`, `Score` FROM \
`p.d.s_1`;
IF (SELECT COUNT(*) FROM `p.d.t` WHERE `day` = @p_partition_date) <> @p_expected THEN
  RAISE USING MESSAGE = 'lockstep: the partition would have another number of rows than the manifest';
END IF;
COMMIT TRANSACTION;
"""
    assert LEDGER_INSERT.sub("", text) == expected
    found = LEDGER_INSERT.search(text)
    assert found is not None
    assert found[1].split(", ") == [f"`{name}`" for name in LEDGER_TYPES]
    assert found[2].split(", ") == [f"@p_{name}" for name in LEDGER_TYPES]


def test_a_claim() -> None:
    script = claim_script(DATASET, dict.fromkeys(CLAIM_TYPES))
    assert (
        script.text
        == """\
BEGIN TRANSACTION;
UPDATE `p.d.lockstep_lock_claims` SET held = 1 - held WHERE TRUE;
IF (SELECT COALESCE(MAX(token), 0) + 1 FROM `p.d.lockstep_claims` WHERE table_name = @p_table_name AND \
partition_date = @p_partition_date) <> @p_token THEN
  RAISE USING MESSAGE = 'lockstep: another run was planned or published meanwhile';
END IF;
INSERT INTO `p.d.lockstep_claims` (`table_name`, `partition_date`, `token`, `run_key`, `claimed_at`) VALUES \
(@p_table_name, @p_partition_date, @p_token, @p_run_key, @p_claimed_at);
COMMIT TRANSACTION;
"""
    )


def test_every_script_locks_before_it_reads_and_names_only_parameters_that_it_has() -> None:
    scripts = [
        claim_script(DATASET, dict.fromkeys(CLAIM_TYPES)),
        append_script(DATASET, FACTS),
        publish_script(DATASET, FACTS, seen=0, replacement=None),
        publish_script(DATASET, FACTS, seen=0, replacement=NEW),
        publish_script(DATASET, FACTS, seen=0, replacement=replace(NEW, staged=())),
    ]
    for script in scripts:
        lines = script.text.splitlines()
        assert lines[0] == "BEGIN TRANSACTION;"
        assert lines[1].startswith("UPDATE ")
        assert lines[-1] == "COMMIT TRANSACTION;"
        named = set(re.findall(r"@p_(\w+)", script.text))
        assert named == set(script.parameters)
        assert named <= PARAMETER_TYPES.keys()
        assert not re.search(r"\b(CREATE|ALTER|DROP)\b", script.text)  # none may come inside of a transaction


def test_without_new_rows_nothing_is_inserted() -> None:
    emptied = publish_script(DATASET, FACTS, seen=0, replacement=replace(NEW, staged=(), rows=0)).text
    assert "DELETE FROM `p.d.t`" in emptied
    assert "INSERT INTO `p.d.t`" not in emptied
    assert "DELETE" not in publish_script(DATASET, FACTS, seen=0, replacement=None).text


@given(st.integers(0, 3), st.text(), st.integers(1, 3), st.integers(0, 3), st.text(), st.integers(1, 3))
def test_the_same_script_has_the_same_job_and_no_other_has(
    token: int, run_key: str, attempt: int, token_2: int, run_key_2: str, attempt_2: int
) -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    first = Script("x", {"token": token, "run_key": run_key, "claimed_at": now})
    second = Script("x", {"claimed_at": now, "run_key": run_key_2, "token": token_2})
    same = (token, run_key, attempt) == (token_2, run_key_2, attempt_2)
    assert (first.job_id(attempt) == second.job_id(attempt_2)) == same
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,1024}", first.job_id(attempt))


@given(st.text())
def test_a_quoted_name_ends_where_it_should(name: str) -> None:
    inner = quoted(name)[1:-1]
    assert "`" not in re.sub(r"\\.", "", inner, flags=re.DOTALL)
    assert re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL) == name
