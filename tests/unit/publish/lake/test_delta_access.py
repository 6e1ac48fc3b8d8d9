"""How delta-rs is told where a store is, and what is said of its errors."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from deltalake.exceptions import CommitFailedError, DeltaError

from lockstep.errors import CommitUncertain, PublishError, StoreUnusable
from lockstep.publish.lake.delta_access import options, translated
from lockstep.publish.lake.engine import CommitLost
from lockstep.storage.objects import ObjectPath
from lockstep.storage.stores import store

LAKE = ObjectPath("s3://bucket", "lake")
SAID = (
    "Generic S3 error: Error performing GET https://acme.example/bucket/lake?X-Amz-Signature=S3cret in 3ms - Server "
    "returned non-2xx status code: 503: <?xml version='1.0'?><Error>\n<Key>S3cret</Key>"
)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No variable of this machine counts, and no profile."""
    for name in ("ENDPOINT", "ENDPOINT_URL", "ENDPOINT_URL_S3", "PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store.cache_clear()
    yield
    store.cache_clear()


def test_a_disk_needs_nothing(tmp_path: Path) -> None:
    assert options(tmp_path) is None


def test_commits_are_conditional_and_no_secret_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_S3_ALLOW_UNSAFE_RENAME", "true")
    told = options(LAKE) or {}
    assert told["aws_conditional_put"] == "etag"
    assert told["AWS_S3_ALLOW_UNSAFE_RENAME"] == "false"
    assert (told["retry_timeout"], told["backoff_config.init_backoff"]) == ("300s", "100ms")
    assert told["aws_allow_http"] == "false"
    assert not {"aws_endpoint", "AWS_FORCE_CREDENTIAL_LOAD"} & told.keys()
    assert not [text for pair in told.items() for text in pair if "hunter2" in text]


def test_other_stores_are_told_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockstep.publish.lake.delta_access.store", lambda _: None)
    assert {name for name in options(ObjectPath("gs://bucket", "lake")) or {} if "aws" in name.lower()} == set()


@pytest.mark.parametrize(("endpoint", "clear"), [("http://127.0.0.1:8333", "true"), ("https://s3.example", "false")])
def test_an_endpoint_is_the_environments(endpoint: str, clear: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    told = options(LAKE) or {}
    assert (told["aws_endpoint"], told["aws_allow_http"]) == (endpoint, clear)


def test_a_profile_is_looked_for_beside_an_endpoint_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = me\naws_secret_access_key = hunter2\n")
    assert (options(LAKE) or {})["AWS_FORCE_CREDENTIAL_LOAD"] == "true"


def test_without_credentials_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(StoreUnusable, match="there are no credentials"):
        options(LAKE)


@pytest.mark.parametrize("kind", [OSError, DeltaError])
def test_what_a_store_did_not_do_is_one_line_without_its_request(kind: type[Exception]) -> None:
    said = r"object store, s3://bucket/lake: Generic S3 error"
    with pytest.raises(StoreUnusable, match=said) as caught, translated("s3://bucket/lake"):
        raise kind(SAID)
    assert not [word for word in ("S3cret", "acme", "https", "\n", "<") if word in str(caught.value)]
    assert caught.value.__suppress_context__


def test_nobody_knows_whether_a_commit_was_made_that_was_not_answered() -> None:
    said = r"was not confirmed: Generic S3 error"
    with pytest.raises(CommitUncertain, match=said) as caught, translated("s3://bucket/lake", in_commit=True):
        raise OSError(SAID)
    assert not [word for word in ("S3cret", "acme", "https") if word in str(caught.value)]


@pytest.mark.parametrize("location", ["/lake", "s3://bucket/lake"])
def test_what_the_library_refuses_is_not_the_stores_fault(location: str) -> None:
    with (
        pytest.raises(
            PublishError, match=rf"Delta warehouse {location} failed: no such column\. Nothing was published"
        ),
        translated(location),
    ):
        raise DeltaError("no such column")
    with pytest.raises(CommitLost), translated(location, in_commit=True):
        raise CommitFailedError("version 3 is there")


def test_what_we_said_ourselves_is_left_as_it_is() -> None:
    with pytest.raises(StoreUnusable, match="there is no such bucket"), translated("s3://bucket/lake"):
        raise StoreUnusable(19, "there is no such bucket", "s3://bucket")
