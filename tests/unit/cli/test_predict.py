"""`lockstep predict` over the real application: what it prints and writes, and how it ends."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from lockstep.cli import predict
from lockstep.cli.main import app as command_line
from lockstep.client.errors import AccessRefused, EndpointBusy, FileUnfit, ModelNotServed, RowsUnfit, TargetInvalid
from lockstep.client.transport import Answered
from lockstep.errors import LockstepError
from lockstep.run.exit_codes import exit_code
from tests.unit.client.in_process import InProcess
from tests.unit.serving.conftest import app, make_plane, plane, scorer
from tests.unit.serving.toy import ROW, call

__all__ = ["app", "make_plane", "plane", "scorer"]

URL = "http://in.process:1"


@pytest.fixture
def wire(app: Any, monkeypatch: pytest.MonkeyPatch) -> InProcess:
    made = InProcess(app)
    monkeypatch.setattr("lockstep.client.rest.HttpTransport", lambda _: made)
    return made


def rows(count: int) -> list[dict[str, Any]]:
    return [{**ROW, "flight": number} for number in range(count)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(25)))
    return path


def expected(app: Any, count: int) -> list[float]:
    body = json.dumps({"dataframe_records": rows(count)}).encode()
    answer = call(app, "/invocations", body, headers={"content-type": "application/json"})
    return [record["probability"] for record in answer.json()["predictions"]]


def run(*args: str, code: int = 0, **options: Any) -> Any:
    result = CliRunner().invoke(command_line, ["predict", URL, *args], **options)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def failure(*args: str, **options: Any) -> LockstepError:
    result = CliRunner().invoke(command_line, ["predict", URL, *args], **options)
    assert isinstance(result.exception, LockstepError)
    return result.exception


@pytest.mark.parametrize("protocol", ["v2", "mlflow"])
def test_scores_of_a_file_in_a_pipe_are_json_lines(protocol: str, file: Path, wire: InProcess) -> None:
    result = run(str(file), "--protocol", protocol)
    scores = [json.loads(line)["probability"] for line in result.stdout.splitlines()]
    assert scores == expected(wire.app, 25)
    assert result.stderr == f"25 rows by toy version 3, digest {'d' * 12}\n"


def test_a_file_larger_than_a_piece_is_read_and_written_in_order(
    file: Path, tmp_path: Path, wire: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "BATCH_ROWS", 4)
    run(str(file), "--output", f"parquet={tmp_path}/out.parquet", "--with-inputs", "--progress")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("flight").to_pylist() == list(range(25))
    assert table.column("probability").to_pylist() == expected(wire.app, 25)
    assert sum(sent.path.endswith("/infer") for sent in wire.sent) == 7


def test_standard_input_is_read_when_nothing_is_named(file: Path, wire: InProcess) -> None:
    for args in ((), ("-",)):
        result = run(*args, "--output", "csv", "--rows", "3", input=file.read_bytes())
        assert result.stdout.splitlines() == ["probability", *map(str, expected(wire.app, 3))]


def test_a_table_is_for_people(file: Path, wire: InProcess) -> None:
    result = run(str(file), "--output", "table", "--rows", "2", "--with-inputs")
    assert "toy version 3" in result.stdout
    assert "probability" in result.stdout
    assert result.stdout.count(" UA ") == 2


def test_inputs_have_one_type_in_all_batches(tmp_path: Path, wire: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "BATCH_ROWS", 1)
    lines = [",".join([*ROW, "more"])]
    for distance, more in (("1", ""), ("2.5", "x")):
        lines.append(",".join(str(value or "") for value in ({**ROW, "distance": distance} | {"more": more}).values()))
    (tmp_path / "a.csv").write_text("\n".join(lines))
    run(str(tmp_path / "a.csv"), "--with-inputs", "--output", f"parquet={tmp_path}/out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("distance").to_pylist() == [1.0, 2.5]
    assert table.column("more").to_pylist() == [None, "x"]


def test_no_rows_are_no_error(tmp_path: Path, wire: InProcess) -> None:
    (tmp_path / "none.csv").write_text(",".join(ROW) + "\n")
    assert run(str(tmp_path / "none.csv"), "--output", "csv").stdout == "probability\n"
    assert run(str(tmp_path / "none.csv"), "--output", "json").stdout == "[]\n"
    run(str(tmp_path / "none.csv"), "--output", f"parquet={tmp_path}/none.parquet")
    assert pq.read_schema(tmp_path / "none.parquet") == pa.schema({"probability": pa.float64()})


def test_a_secret_comes_from_a_file_or_the_environment(
    file: Path, tmp_path: Path, wire: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("lockstep.client.rest.HttpTransport", lambda access: seen.append(access.headers) or wire)
    (tmp_path / "key.txt").write_text("lsk_abc\n")
    run(str(file), "--key-file", str(tmp_path / "key.txt"))
    run(str(file), "--token-env", "MY_TOKEN", env={"MY_TOKEN": "t0ken"})
    assert seen == [{"authorization": "Bearer lsk_abc"}, {"authorization": "Bearer t0ken"}]
    run(str(file), "--key-file", "a", "--token-env", "B", code=2)
    assert "MY_TOKEN of --token-env is not set" in str(failure(str(file), "--token-env", "MY_TOKEN"))
    assert isinstance(failure(str(file), "--key-file", str(tmp_path / "nothing")), TargetInvalid)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--output", "xml"), "expected one of"),
        (("--output", "csv="), "KIND=PATH"),
        (("--output", "parquet"), "Parquet needs a file"),
        (("--output", "table=a"), "for people"),
        (("--model", "a", "--spec", "b"), "not both"),
        (("--rows", "0"), "greater than or equal to 1"),
        (("--timeout", "0"), "greater than or equal to 0.001"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_sent(
    args: tuple[str, ...], message: str, file: Path, wire: InProcess
) -> None:
    result = run(str(file), *args, code=2, env={"COLUMNS": "300"})
    assert message in result.stderr
    assert wire.sent == []


def refused(status: int) -> Answered:
    return Answered(status, {}, b'{"error": "no"}')


def test_each_failure_has_the_exit_code_of_its_kind(file: Path, tmp_path: Path, wire: InProcess) -> None:
    (tmp_path / "bad.csv").write_text("carrier,seats\nUA,secret\n")
    found = [
        (failure(str(tmp_path / "bad.csv")), RowsUnfit, 6),
        (failure(str(tmp_path / "nothing.csv")), FileUnfit, 6),
        (failure(str(file), "--format", "parquet"), FileUnfit, 6),
        (failure(str(file), "--model", "other"), ModelNotServed, 5),
        (failure(str(file), "--version", "9"), ModelNotServed, 5),
        (failure(str(file), "--version", "3", "--protocol", "mlflow"), TargetInvalid, 3),
    ]
    for status, kind, code in ((401, AccessRefused, 4), (503, EndpointBusy, 75)):
        wire.before = lambda _, status=status: refused(status)
        found.append((failure(str(file)), kind, code))
    for error, kind, code in found:
        assert (type(error), exit_code(error)) == (kind, code), error
        assert "secret" not in str(error)


def test_a_file_that_fails_halfway_leaves_nothing(
    file: Path, tmp_path: Path, wire: InProcess, monkeypatch: Any
) -> None:
    monkeypatch.setattr(predict, "BATCH_ROWS", 10)
    lines = file.read_text().splitlines()
    lines[17] = lines[17].replace('"UA"', '"XX"')
    file.write_text("\n".join(lines))
    error = failure(str(file), "--output", f"csv={tmp_path}/out.csv")
    assert "refused rows 10 to 19 of the input: 1 of 10 rows cannot be scored: row 7" in str(error)
    lines[17] = "{}"
    file.write_text("\n".join(lines))
    assert "row 17 lacks column" in str(failure(str(file), "--output", f"csv={tmp_path}/out.csv"))
    lines[17] = lines[16].replace("149", '"secret"')
    file.write_text("\n".join(lines))
    assert "rows 10 to 19 of the input: column 'seats', row 7" in str(failure(str(file)))
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_help_shows_examples() -> None:
    result = CliRunner().invoke(command_line, ["predict", "--help"], env={"COLUMNS": "150"})
    assert "lockstep predict http://127.0.0.1:8080 flights.csv" in result.stdout
