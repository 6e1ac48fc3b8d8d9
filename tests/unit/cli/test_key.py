import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.serving.security.api_keys import load_keys
from lockstep.serving.security.errors import SecurityFileInvalid


def new(*args: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["key", "new", *args])
    assert result.exit_code == code, result.output
    return result


def test_without_a_file_key_and_entry_are_printed() -> None:
    printed = new(
        "nightly", "--model", "churn", "--model", "fraud", "--role", "infer", "--expires", "2027-06-30"
    ).stdout
    key, entry = printed.split("\n", 1)
    (found,) = yaml.safe_load(entry)
    assert key.startswith("lsk_")
    assert key not in entry
    assert (found["name"], found["models"], found["roles"]) == ("nightly", ["churn", "fraud"], ["infer"])
    assert dt.datetime.fromisoformat(str(found["expires"])) == dt.datetime(2027, 6, 30, tzinfo=dt.UTC)


def test_a_key_that_is_appended_is_known(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    keys = [new(name, "--model", "*", "--file", str(path)).stdout.strip() for name in ("one", "two")]
    assert [load_keys(path).client_of(key, now=0).name for key in keys] == ["one", "two"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["keys.yaml"]
    assert not [key for key in keys if key in path.read_text()]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("a b", "--model", "x"), "must be 1 to 128 letters"),
        (("a", "--model", ""), "at least 1 character"),
        (("a", "--model", "x", "--expires", "soon"), "expected a day"),
        (("a", "--model", "x", "--expires", "2027-06-30T12:00:00"), "needs a time zone"),
        (("a", "--model", "x", "--role", "root"), "roles Input should be 'infer'"),
        (("a",), "--model"),
    ],
)
def test_what_makes_no_sense_is_told(args: tuple[str, ...], message: str) -> None:
    output = " ".join(new(*args, code=2).output.replace("│", " ").split())
    assert message in output


def test_a_file_that_cannot_be_used_is_told_and_no_key_is_given(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["key", "new", "a", "--model", "x", "--file", str(tmp_path / "no" / "keys.yaml")])
    assert isinstance(result.exception, SecurityFileInvalid)
    assert "lsk_" not in result.stdout
