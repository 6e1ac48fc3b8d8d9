"""How stores are reached, and what is said of their errors."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.exceptions import BaseError, GenericError, PermissionDeniedError

from lockstep.errors import StoreUnusable
from lockstep.run.exit_codes import exit_code
from lockstep.storage.stores import REFUSED, s3_endpoint, store, store_errors

AZURE = (
    "Generic MicrosoftAzure error: Error performing GET https://acme.blob.core.windows.net/runs/x?sv=2024&sig=S3cr%2F "
    "in 3ms - Server returned non-2xx status code: 503: <?xml version='1.0'?><Error>\n<Key>S3cret</Key>\nDebug: S3cret"
)
BARE = "Generic S3 error: no answer to runs/x?X-Amz-Credential=AKIA1&X-Amz-Signature=S3cret after 10 tries"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No variable of this machine counts, and no profile."""
    for name in ("ENDPOINT", "ENDPOINT_URL", "ENDPOINT_URL_S3", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    store.cache_clear()
    yield
    store.cache_clear()


@pytest.mark.parametrize("said", [AZURE, BARE])
@pytest.mark.parametrize("kind", [BaseError, GenericError])
def test_an_error_is_one_line_without_address_query_or_signature(said: str, kind: type[Exception]) -> None:
    with pytest.raises(StoreUnusable) as caught, store_errors("az://runs/x"):
        raise kind(said)
    text = str(caught.value)
    assert text.startswith("object store, az://runs/x: Generic ")
    assert "\n" not in text
    assert not [word for word in ("cr%2F", "S3cret", "https", "sig=", "AKIA1", "<", "acme") if word in text]
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert exit_code(caught.value) == 4


def test_a_long_error_is_cut() -> None:
    with pytest.raises(OSError, match="words") as caught, store_errors("s3://runs"):
        raise GenericError("words " * 1000)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("error", "of_bucket", "said"),
    [
        (PermissionDeniedError("GET https://x failed"), False, REFUSED),
        (GenericError("Generic S3 error: Server returned non-2xx status code: 403 Forbidden: <xml>"), True, REFUSED),
        (GenericError("Generic S3 error: Server returned non-2xx status code: 404 Not Found"), True, "no such bucket"),
        (GenericError("Kernel error: The operation lacked the necessary privileges to complete for x"), False, REFUSED),
        (FileNotFoundError("x"), True, "there is no such bucket"),
        (FileNotFoundError("... <Code>NoSuchBucket</Code>"), False, "there is no such bucket"),
    ],
)
def test_what_users_can_mend_is_said_in_words(error: Exception, of_bucket: bool, said: str) -> None:
    with pytest.raises(StoreUnusable, match=said), store_errors("s3://runs/x", of_bucket=of_bucket):
        raise error


def test_a_missing_object_is_a_missing_file() -> None:
    with pytest.raises(FileNotFoundError, match="there is no such object") as caught, store_errors("s3://runs/x"):
        raise FileNotFoundError("long text of a request")
    assert caught.value.filename == "s3://runs/x"


def test_without_credentials_nobody_is_asked() -> None:
    with pytest.raises(StoreUnusable, match="there are no credentials: no key, no profile and no role"):
        store("s3://runs")


def test_a_profile_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nightly")
    with pytest.raises(StoreUnusable, match=r"no credentials: .*nightly.* could not be found"):
        store("s3://runs")


def test_a_file_of_profiles_without_the_default_one_has_none(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("[other]\naws_access_key_id = a\naws_secret_access_key = b\n")
    with pytest.raises(StoreUnusable, match="there are no credentials: the profile has none"):
        store("s3://runs")


@pytest.mark.parametrize("profile", ["", "other"])
def test_keys_come_from_the_environment_or_a_profile(
    profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if profile:
        (tmp_path / "credentials").write_text(f"[{profile}]\naws_access_key_id = a\naws_secret_access_key = S3cret\n")
        monkeypatch.setenv("AWS_PROFILE", profile)
    else:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "S3cret")
    opened = store("s3://runs")
    assert store("s3://runs") is opened
    assert "S3cret" not in repr(opened)


def test_the_more_special_address_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3_endpoint() == ""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://all")
    assert s3_endpoint() == "http://all"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3")
    assert s3_endpoint() == "http://s3"
