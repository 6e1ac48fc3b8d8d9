"""What `input` may say: a query and its sources, or a table."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import SpecError
from lockstep.specs.loading import load_spec
from tests.unit.specs.conftest import SPEC

HEAD, TAIL = SPEC.split("input:\n")[0], "partition: {column: day}" + SPEC.split("partition: {column: day}")[1]


def loaded(folder: Path, text: str, *, more: str = "") -> Any:
    """Load a spec with another input."""
    (folder / "scoring.yaml").write_text(f"{HEAD}input:\n{text}\n{TAIL}{more}")
    return load_spec(folder).spec


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("  table: {path: sales}", "sales"),
        ("  table: {path: /lake/sales/one.parquet, whole: true}", "/lake/sales/one.parquet"),
        ("  table: {path: 's3://bucket/sales?region=eu-west-1'}", "s3://bucket/sales?region=eu-west-1"),
        ("  table: {path: 'abfs://box@account.dfs.core.windows.net/t'}", "abfs://box@account.dfs.core.windows.net/t"),
        ("  table: {format: delta, path: sales}", "sales"),
        ("  table: {format: iceberg, catalog: lake, name: shop.sales, properties: {type: sql}}", "lake:shop.sales"),
        ("  table: {format: iceberg, path: t/metadata/v3.metadata.json}", "t/metadata/v3.metadata.json"),
    ],
)
def test_a_table(spec_folder: Path, text: str, label: str) -> None:
    found = loaded(spec_folder, text).input
    assert found.table.label == label
    assert found.query is None
    with pytest.raises(ValueError, match="has no query"):
        _ = found.feature_query


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("  table: {path: sales}\n  query: q.sql", "give either 'query' and 'sources', or 'table'"),
        ("  {}", "give either 'query' and 'sources', or 'table'"),
        ("  query: q.sql", "'query' and 'sources' go together"),
        ("  table: {}", "'path' is required"),
        ("  table: {path: ../sales}", "must be a path .* or a URL, without '..'"),
        ("  table: {path: sales, format: csv}", "key input.table.format"),
        ("  table: {path: sales, catalog: lake}", "are for format: iceberg"),
        (
            "  table: {format: iceberg, catalog: lake}",
            "needs either 'path', its metadata file, or 'catalog' and 'name'",
        ),
        ("  table: {format: iceberg, path: t, catalog: lake, name: a.b}", "'path'.*'catalog'"),
        ("  table: {path: sales, name: a.b}", "'name' is for format: iceberg and format: postgresql"),
        ("  table: {format: postgresql, path: 'postgresql://me@db/shop'}", "needs 'path'.*and 'name'"),
        ("  table: {format: postgresql, path: 'mysql://me@db/shop', name: a.b}", "needs 'path', as postgresql://"),
        ("  table: {format: postgresql, path: 'postgresql://db/shop', name: a.b, catalog: c}", "for format: iceberg"),
    ],
)
def test_what_is_no_input(spec_folder: Path, text: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        loaded(spec_folder, text)


@pytest.mark.parametrize(
    "text",
    [
        "  table: {path: 's3://me:hush@bucket/t'}",
        "  table: {path: 's3://bucket/t?secret_access_key=hush'}",
        "  table: {format: postgresql, path: 'postgresql://me:hush@db/shop', name: a.b}",
        "  table: {format: postgresql, path: 'postgresql://db/shop?user=me&password=hush', name: a.b}",
        "  table: {format: iceberg, catalog: c, name: a.b, properties: {s3.secret-access-key: hush}}",
        "  table: {format: iceberg, catalog: c, name: a.b, properties: {token: hush}}",
        "  table: {format: iceberg, catalog: c, name: a.b, properties: {uri: 'postgresql://me:hush@host/db'}}",
    ],
)
def test_credentials_are_refused_and_not_repeated(spec_folder: Path, text: str) -> None:
    with pytest.raises(SpecError, match="must hold no credentials") as caught:
        loaded(spec_folder, text)
    assert "hush" not in str(caught.value)


def test_reporting_needs_a_query(spec_folder: Path) -> None:
    with pytest.raises(SpecError, match=r"'reporting' needs 'input\.query'"):
        loaded(spec_folder, "  table: {path: sales}", more="reporting: {daily: daily.sql}\n")
