"""Where PyIceberg learns of a store, and what is said of its errors."""

from pathlib import Path

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO

from lockstep.errors import CommitUncertain, PublishError, StoreUnusable
from lockstep.publish.lake.iceberg_catalog import named_catalog, s3_properties, translated

ENDPOINT = "http://127.0.0.1:8333"
SAID = (
    "When uploading part for key 'tables/t/metadata/0.json' in bucket 'lake': AWS Error NETWORK_CONNECTION during "
    "PutObject operation: https://acme.example/lake?X-Amz-Signature=S3cret did not answer"
)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of this machine counts."""
    for name in ("ENDPOINT", "ENDPOINT_URL", "ENDPOINT_URL_S3", "REGION", "DEFAULT_REGION"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("PYICEBERG_CATALOG__MINE__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__MINE__URI", f"sqlite:///{tmp_path}/catalog.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__MINE__WAREHOUSE", "s3://lake/tables")


def test_the_environment_says_where_the_store_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3_properties().keys() == {"s3.retry-strategy-impl"}
    monkeypatch.setenv("AWS_ENDPOINT_URL", ENDPOINT)
    assert (s3_properties()["s3.endpoint"], s3_properties()["s3.region"]) == (ENDPOINT, "us-east-1")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert s3_properties()["s3.region"] == "eu-west-1"


def test_the_configuration_of_a_catalog_says_it_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", ENDPOINT)
    monkeypatch.setenv("PYICEBERG_CATALOG__MINE__S3__REGION", "eu-central-1")
    catalog = named_catalog("mine")
    assert (catalog.properties["s3.endpoint"], catalog.properties["s3.region"]) == (ENDPOINT, "eu-central-1")
    assert catalog.properties["warehouse"] == "s3://lake/tables"
    assert not [name for name in catalog.properties if "key" in name or "token" in name]
    catalog.close()


def test_arrow_takes_what_it_is_told_and_is_as_patient_as_the_rest(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", ENDPOINT)
    filesystem = PyArrowFileIO(s3_properties()).fs_by_scheme("s3", "lake")
    assert (filesystem.type_name, filesystem.region) == ("s3", "us-east-1")
    assert not list(recwarn)


def test_what_a_store_did_not_do_is_one_line_without_its_request() -> None:
    said = r"object store, catalog:mine: When uploading .*AWS Error"
    with pytest.raises(StoreUnusable, match=said) as caught, translated("catalog:mine"):
        raise OSError(SAID)
    assert not [word for word in ("S3cret", "acme") if word in str(caught.value)]
    with pytest.raises(CommitUncertain), translated("catalog:mine", in_commit=True):
        raise OSError(SAID)
    with pytest.raises(PublishError, match="Iceberg warehouse /lake failed: no room"), translated("/lake"):
        raise OSError("no room")
