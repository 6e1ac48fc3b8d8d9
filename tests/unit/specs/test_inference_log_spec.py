"""The `log:` section of a serving.yaml."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from lockstep.specs.inference_log_spec import InferenceLogging


def read(text: str) -> InferenceLogging:
    return InferenceLogging.model_validate(yaml.safe_load(text) or {})


def test_an_empty_section_logs_everything() -> None:
    wanted = read("")
    assert (wanted.sample, wanted.columns, wanted.unlisted, wanted.keep_days) == (1.0, {}, "keep", 30)


def test_a_bare_null_means_the_word() -> None:
    assert read("columns: {age: null, city: drop}\nunlisted: null").columns == {"age": "null", "city": "drop"}
    assert read("unlisted: null").unlisted == "null"


@pytest.mark.parametrize("section", ["columns: {a: hash}", "unlisted: hash"])
def test_a_hash_needs_a_salt(section: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="'hash' needs 'salt_file'"):
        read(section)
    assert read(f"{section}\nsalt_file: {tmp_path}/salt").salt_file == f"{tmp_path}/salt"


@pytest.mark.parametrize(
    "section",
    [
        "path: s3://bucket/log",
        "sample: 0",
        "sample: 1.5",
        "columns: {a: mask}",
        "keep_days: 0",
        "flush_s: 0",
        "else: 1",
    ],
)
def test_what_makes_no_sense_is_refused(section: str) -> None:
    with pytest.raises(ValidationError):
        read(section)
