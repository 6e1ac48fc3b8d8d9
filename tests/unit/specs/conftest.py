"""A small valid spec to start from."""

from pathlib import Path

import pytest

SPEC = """\
name: churn
model: {name: churn, alias: champion}
schedule: {cron: "0 6 * * *", timezone: UTC, start: 2024-01-01}
input:
  query: features.sql
  sources:
    customers:
      path: customers
      partition: day
      days: [0, 0]
      columns: {id: long, spend: double}
partition: {column: day}
key: [day, id]
output: {column: score}
publish: {table: churn_scores}
"""


@pytest.fixture
def spec_folder(tmp_path: Path) -> Path:
    """A folder `churn` with a valid scoring.yaml."""
    folder = tmp_path / "churn"
    folder.mkdir()
    (folder / "scoring.yaml").write_text(SPEC)
    return folder
