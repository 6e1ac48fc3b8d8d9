"""Spec files: every problem names file, line and key."""

from pathlib import Path

import pytest

from lockstep.errors import SpecError
from lockstep.specs.loading import find_spec, json_schema, load_spec, spec_files


def broken(folder: Path, old: str, new: str) -> str:
    """Change the spec and return the message that loading it gives."""
    file = folder / "scoring.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(SpecError) as caught:
        load_spec(folder)
    assert str(file) in str(caught.value)
    return str(caught.value)


def test_a_valid_spec_loads_from_its_folder_and_from_its_file(spec_folder: Path) -> None:
    assert load_spec(spec_folder).spec == load_spec(spec_folder / "scoring.yaml").spec
    assert load_spec(spec_folder).spec.carried == ("day", "id")


def test_an_unknown_key_names_its_line_and_the_known_keys(spec_folder: Path) -> None:
    message = broken(spec_folder, "model: {name: churn, alias: champion}", "model:\n  name: churn\n  alais: champion")
    assert "line 4, key model.alais: unknown key; known keys here: alias, environment, " in message


def test_an_unknown_key_deep_inside_a_source(spec_folder: Path) -> None:
    message = broken(spec_folder, "      partition: day", "      partition: day\n      partitoin: day")
    assert "line 10, key input.sources.customers.partitoin: unknown key" in message
    assert "columns, days, partition, path" in message


def test_a_missing_key(spec_folder: Path) -> None:
    assert "key publish.table: required key is missing" in broken(spec_folder, "{table: churn_scores}", "{}")


def test_a_key_given_twice(spec_folder: Path) -> None:
    message = broken(spec_folder, "output: {column: score}", "output: {column: score}\noutput: {column: other}")
    assert "line 15: not valid YAML: key 'output' is given twice" in message


def test_broken_yaml_names_the_line(spec_folder: Path) -> None:
    message = broken(spec_folder, "key: [day, id]", "key: [day, id")
    assert "line 14: not valid YAML" in message
    assert "begun on line 13" in message


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('cron: "0 6 * * *", ', "", "give 'cron', 'assets' or both"),
        ("key: [day, id]", "key: [day, id]\nrefresh: {cron: 0 7 * * *}", "'refresh' is for 'reporting'"),
        ("0 6 * * *", "daily", "key schedule.cron: must be a cron expression of 5 fields"),
        ("timezone: UTC", "timezone: Mars/Base", "key schedule.timezone: must be an IANA time zone"),
        ("key: [day, id]", "key: [id]", "'key' must contain the partition column 'day'"),
        ("column: score", "column: id", "columns appear twice in key, passthrough and output: id"),
        ("days: [0, 0]", "days: [-3, -1]", "at least one source must have days: [0, 0]"),
        ("days: [0, 0]", "days: [0, -1]", "first <= last"),
        ("      days: [0, 0]\n", "", "'partition' and 'days' go together"),
        ("path: customers", "path: ../customers", "must be a path inside its own folder"),
        ("spend: double", "spend: money", "key input.sources.customers.columns.spend"),
        ("name: churn\nmodel", "name: other\nmodel", "must equal the folder's name 'churn'"),
        ("table: churn_scores", 'table: "x; drop table y"', "must be letters, digits and underscores"),
    ],
)
def test_wrong_values(spec_folder: Path, old: str, new: str, told: str) -> None:
    assert told in broken(spec_folder, old, new)


def test_a_spec_that_is_not_a_mapping(spec_folder: Path) -> None:
    (spec_folder / "scoring.yaml").write_text("- 1\n")
    with pytest.raises(SpecError, match="expected a mapping of keys, got list"):
        load_spec(spec_folder)


def test_an_unknown_name_lists_the_known_ones(spec_folder: Path) -> None:
    with pytest.raises(SpecError, match=r"no spec of the name 'chrun'.*churn"):
        find_spec(spec_folder.parent, "chrun")
    assert spec_files(spec_folder.parent) == [spec_folder / "scoring.yaml"]


def test_a_file_that_the_spec_names_must_exist(spec_folder: Path) -> None:
    with pytest.raises(SpecError, match=r"'features.sql' does not exist"):
        load_spec(spec_folder).file("features.sql")


def test_the_json_schema_forbids_unknown_keys() -> None:
    assert '"additionalProperties": false' in json_schema()
