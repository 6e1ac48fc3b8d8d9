"""What BigQuery refuses, and what stands in the way to it, is one error each that says what to do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bqemulator.domain.errors import InvalidQueryError, PermissionDeniedError, QuotaExceededError
from google.cloud import bigquery

from lockstep.errors import (
    PublishError,
    WarehouseBusy,
    WarehouseUnreachable,
)
from lockstep.publish.contract import PublishRequest
from lockstep.services.ports import LOOPBACK
from tests.publish.bigquery_faults import failing_loads, on_server
from tests.publish.bigquery_server import PROJECT
from tests.publish.places import TABLE, Place
from tests.publish.staged import DAY

pytestmark = pytest.mark.parametrize("place", ["bigquery"], indirect=True)
Request = Callable[..., PublishRequest]


@pytest.mark.parametrize(
    ("part", "error", "expected", "message"),
    [
        ("BEGIN", QuotaExceededError("Quota exceeded: jobs"), WarehouseBusy, "a quota of the project is used up"),
        (
            "BEGIN",
            PermissionDeniedError("Access Denied: Table"),
            PublishError,
            "no permission: .* BigQuery Data Editor",
        ),
        ("SELECT COUNT(*)", InvalidQueryError("Syntax error"), PublishError, "Syntax error"),
    ],
)
def test_whatever_fails_the_old_rows_stay_and_one_more_try_does(
    place: Place,
    request_for: Request,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    error: Exception,
    expected: type[Exception],
    message: str,
) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    request = request_for("b", place.claim("b"), rows=8)
    with monkeypatch.context() as patch:
        assert on_server(patch, error, times=1000, part=part) == []
        with pytest.raises(expected, match=message):
            place.open(wait_s=0).publish(request)
    assert place.live() == [(DAY, "a", 6)]
    assert place.open().publish(request).outcome == "published"
    assert place.live() == [(DAY, "b", 8)]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (f"{PROJECT}/nowhere", r"there is no such project or dataset.*bq mk --dataset.*LOCKSTEP_BIGQUERY"),
        ("{place}/US", "the dataset lies in EU"),
    ],
)
def test_a_dataset_that_is_not_there_is_one_error(place: Place, location: str, message: str) -> None:
    for attempt in (lambda w: w.history(), lambda w: w.tables(), lambda w: w.live(TABLE, DAY)):
        with pytest.raises(PublishError, match=message):
            attempt(replace(place, location=location.format(place=place.location)).open())


def test_a_dataset_whose_tables_expire_is_refused(place: Place, client: bigquery.Client) -> None:
    dataset = client.get_dataset(place.location.replace("/", "."))
    dataset.default_table_expiration_ms = 60 * 86_400_000
    client.update_dataset(dataset, ["default_table_expiration_ms"])
    with pytest.raises(PublishError, match="expire by default"):
        place.claim("a")
    assert place.open().tables() == []


def test_the_region_may_be_named(place: Place) -> None:
    assert replace(place, location=f"{place.location}/eu").open().tables() == []


def test_a_server_that_does_not_answer_is_one_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", f"http://{LOOPBACK}:9")
    with pytest.raises(WarehouseUnreachable, match="does not answer"):
        place.open(wait_s=0).tables()


@pytest.mark.parametrize("key", [None, "{}", '{"type": "service_account", "private_key": "hunter2"}'])
def test_credentials_that_are_missing_or_broken_are_one_error_without_them(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    if key is not None:
        (tmp_path / "key.json").write_text(key)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(
        PublishError, match="application default credentials are missing or were not accepted"
    ) as caught:
        place.open().tables()
    assert "hunter2" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_load_job_that_fails_does_not_quote_a_value(
    place: Place, request_for: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    request = request_for("b", place.claim("b"), rows=8)
    failing_loads(monkeypatch, reason="invalid", times=1)
    with pytest.raises(PublishError, match=r"does not take the staged file part-\d\.parquet") as caught:
        place.open().publish(request)
    assert "hunter2" not in str(caught.value)
    assert place.live() == [(DAY, "a", 6)]
    assert place.open().publish(request).outcome == "published"
