from typing import Any

import pytest

from lockstep.serving.security.key_fetching import COOLDOWN_S, FetchedKeySet
from tests.unit.serving.security.issuers import jwt_config, key_set, signer

URL = "https://login.example.com/keys?tenant=t"


class Provider:
    """What is at the address of the keys: a document, or an error instead of it."""

    def __init__(self) -> None:
        self.document = key_set(signer("a"))
        self.error: Exception | None = None
        self.fetches = 0

    def __call__(self) -> bytes:
        self.fetches += 1
        if self.error is not None:
            raise self.error
        return self.document


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def keys(provider: Provider) -> FetchedKeySet:
    return FetchedKeySet(jwt_config(jwks_url=URL, refresh_s=600, max_age_s=3600), fetch=provider)


def has(keys: FetchedKeySet, key_id: str) -> bool:
    return keys.current is not None and keys.current.find(key_id, "ES256") is not None


def test_nothing_is_fetched_before_the_first_refresh(keys: FetchedKeySet, provider: Provider) -> None:
    assert (keys.current, provider.fetches) == (None, 0)
    assert keys.refresh(now=5.0) == 600
    assert has(keys, "a")


def test_keys_are_fetched_again_now_and_then(keys: FetchedKeySet, provider: Provider) -> None:
    keys.refresh(now=0.0)
    assert keys.refresh(now=200.0) == 400
    assert provider.fetches == 1
    provider.document = key_set(signer("a"), signer("b"))
    keys.refresh(now=600.0)
    assert has(keys, "b")


def test_the_same_document_gives_the_same_keys(keys: FetchedKeySet, provider: Provider) -> None:
    keys.refresh(now=0.0)
    before = keys.current
    keys.refresh(now=600.0)
    assert provider.fetches == 2
    assert keys.current is before


def test_a_new_key_is_fetched_soon_but_nonsense_fetches_seldom(keys: FetchedKeySet, provider: Provider) -> None:
    keys.refresh(now=0.0)
    provider.document = key_set(signer("b"))
    for _ in range(1000):
        keys.miss()
    assert keys.wake.is_set()
    assert keys.refresh(now=1.0) == COOLDOWN_S - 1
    assert provider.fetches == 1
    keys.refresh(now=COOLDOWN_S)
    assert provider.fetches == 2
    assert has(keys, "b")
    assert not has(keys, "a")
    for step in range(100):
        keys.miss()
        keys.refresh(now=COOLDOWN_S + step / 10)
    assert provider.fetches == 2


def test_a_new_key_does_not_wait_when_the_last_fetch_was_long_ago(keys: FetchedKeySet, provider: Provider) -> None:
    keys.refresh(now=0.0)
    keys.miss()
    keys.refresh(now=100.0)
    assert provider.fetches == 2


@pytest.mark.parametrize(
    "error", [OSError("connection refused"), TimeoutError("timed out"), ValueError("it did not arrive within 5 s")]
)
def test_an_outage_leaves_the_keys_in_use_until_they_are_too_old(
    keys: FetchedKeySet, provider: Provider, error: Exception, caplog: Any
) -> None:
    keys.refresh(now=0.0)
    provider.error = error
    assert keys.refresh(now=600.0) == COOLDOWN_S
    assert has(keys, "a")
    for now in range(610, 3600, 10):
        keys.refresh(now=float(now))
    assert has(keys, "a")
    assert caplog.text.count("cannot be fetched, those fetched before stay in use") == 1
    keys.refresh(now=3610.0)
    assert keys.current is None
    provider.error = None
    keys.refresh(now=3620.0)
    assert has(keys, "a")
    assert keys.problem is None


def test_a_wrong_document_changes_nothing(keys: FetchedKeySet, provider: Provider, caplog: Any) -> None:
    keys.refresh(now=0.0)
    provider.document = b"<html>maintenance</html>"
    keys.refresh(now=600.0)
    assert has(keys, "a")
    assert "it is not JSON" in caplog.text
    assert "maintenance" not in caplog.text
    assert "tenant" not in caplog.text


def test_an_outage_at_the_start_is_tried_again(keys: FetchedKeySet, provider: Provider) -> None:
    provider.error = OSError("no route to host")
    assert keys.refresh(now=0.0) == COOLDOWN_S
    assert keys.current is None
    provider.error = None
    assert keys.refresh(now=5.0) == COOLDOWN_S - 5
    keys.refresh(now=COOLDOWN_S)
    assert has(keys, "a")
