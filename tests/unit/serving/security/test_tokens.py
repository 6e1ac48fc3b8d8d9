import math
from typing import Any

import pytest

from lockstep.serving.security.errors import SignersUnknown, Unauthenticated
from tests.unit.serving.security.issuers import CLAIMS, ISSUER, NOW, signer
from tests.unit.serving.security.verifying import ALGORITHMS, Held, client, refused, verifier


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_names_its_client_and_its_rights(algorithm: str) -> None:
    one = signer("k", algorithm)
    found = client(one.token(), held=Held(one))
    assert (found.name, found.method) == ("nightly", "token")
    assert found.may("infer", "churn")
    assert not found.may("infer", "fraud")
    assert not found.may("admin")


# --- Claims ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"iss": "https://login.example.com"}, "issuer"),
        ({"iss": [ISSUER]}, "issuer"),
        ({"iss": None}, "claims"),
        ({"aud": "other"}, "audience"),
        ({"aud": ["other", "another"]}, "audience"),
        ({"aud": {"lockstep": 1}}, "audience"),
        ({"aud": None}, "claims"),
        ({"exp": None}, "claims"),
        ({"exp": "tomorrow"}, "claims"),
        ({"exp": True}, "claims"),
        ({"exp": math.nan}, "claims"),
        ({"exp": math.inf}, "claims"),
        ({"exp": 10**400}, "claims"),
        ({"exp": NOW - 31}, "expired_token"),
        ({"exp": -(10**30)}, "expired_token"),
        ({"nbf": NOW + 31}, "not_yet_valid"),
        ({"iat": NOW + 31}, "not_yet_valid"),
        ({"nbf": "x"}, "claims"),
        ({"sub": ""}, "claims"),
        ({"sub": None}, "malformed"),
        ({"sub": 7}, "malformed"),
        ({"sub": "a\nb"}, "claims"),
        ({"sub": "a" * 257}, "claims"),
    ],
)
def test_a_token_for_somebody_else_or_another_time(changed: dict[str, Any], reason: str) -> None:
    assert refused(signer("a").token({**CLAIMS, **changed})) == reason


def test_one_of_several_audiences() -> None:
    token = signer("a").token({**CLAIMS, "aud": ["other", "scoring"]})
    assert client(token, audience=["lockstep", "scoring"]).name == "nightly"


def test_clocks_may_differ_by_the_leeway_and_no_more() -> None:
    token = signer("a").token({**CLAIMS, "exp": NOW, "nbf": NOW - 10, "iat": NOW - 10})
    for leeway_s in (0, 20):
        assert client(token, now=NOW + leeway_s - 0.001, leeway_s=leeway_s).name == "nightly"
        assert refused(token, now=NOW + leeway_s, leeway_s=leeway_s) == "expired_token"
        assert client(token, now=NOW - 10 - leeway_s, leeway_s=leeway_s).name == "nightly"
        assert refused(token, now=NOW - 10.001 - leeway_s, leeway_s=leeway_s) == "not_yet_valid"


@pytest.mark.parametrize(
    ("claim", "claims", "given_"),
    [
        ("scope", {"scope": "read infer write"}, True),
        ("scope", {"scope": "infer:all read"}, False),
        ("scope", {"scope": ["infer"]}, True),
        ("scope", {"scope": ["infer read"]}, False),
        ("scope", {"scope": {"infer": 1}}, False),
        ("scope", {"scope": [["infer"], 1, None]}, False),
        ("scope", {}, False),
        (["realm_access", "roles"], {"realm_access": {"roles": ["x", "infer"]}}, True),
        (["realm_access", "roles"], {"realm_access": ["infer"]}, False),
        (["realm_access", "roles"], {"realm_access.roles": ["infer"]}, False),
        ("https://example.com/roles", {"https://example.com/roles": ["infer"]}, True),
        ("group", {"group": "infer"}, True),
    ],
)
def test_rights_come_from_claims(claim: Any, claims: dict[str, Any], given_: bool) -> None:
    base = {name: value for name, value in CLAIMS.items() if name != "scope"}
    grants = [{"claim": claim, "value": "infer", "models": ["churn"], "roles": ["infer"]}]
    found = client(signer("a").token({**base, **claims}), grants=grants)
    assert found.may("infer", "churn") == given_


def test_rights_add_up_and_a_grant_without_a_claim_is_for_everybody() -> None:
    grants = [
        {"models": "*", "roles": ["read"]},
        {"claim": "scope", "value": "infer", "models": "churn", "roles": ["infer"]},
        {"claim": "scope", "value": "operate", "models": "churn", "roles": ["admin"]},
    ]
    found = client(signer("a").token({**CLAIMS, "scope": "infer"}), grants=grants)
    assert found.models == {"read": {"*"}, "infer": {"churn"}}


def test_the_client_may_be_in_another_claim() -> None:
    token = signer("a").token({**CLAIMS, "act": {"client_id": "portal"}})
    assert client(token, client_claim=["act", "client_id"]).name == "portal"
    assert refused(token, client_claim=["act", "azp"]) == "claims"


# --- Keys and the cache ----------------------------------------------------------------------------------------


def test_keys_rotate() -> None:
    old, new, held = signer("old"), signer("new", "RS256"), Held(signer("old"))
    tokens = verifier(held)
    assert tokens.client_of(old.token(), now=NOW).name == "nightly"
    with pytest.raises(Unauthenticated):
        tokens.client_of(new.token(), now=NOW)
    assert held.misses == 1
    held.hold(old, new)
    for one in (old, new):
        assert tokens.client_of(one.token(), now=NOW).name == "nightly"
    held.hold(new)
    assert tokens.client_of(new.token(), now=NOW).name == "nightly"


def test_a_remembered_token_is_forgotten_with_its_key() -> None:
    held = Held(signer("a"))
    tokens, token = verifier(held), signer("a").token()
    tokens.client_of(token, now=NOW)
    held.hold(signer("b"))
    with pytest.raises(Unauthenticated) as caught:
        tokens.client_of(token, now=NOW)
    assert caught.value.reason == "unknown_signer"


def test_a_token_is_verified_once_and_remembered_until_it_expires() -> None:
    held = Held(signer("a"))
    tokens, token = verifier(held, leeway_s=0), signer("a").token()
    first = tokens.client_of(token, now=NOW)
    assert tokens.client_of(token, now=NOW + 599.9) is first
    with pytest.raises(Unauthenticated) as caught:
        tokens.client_of(token, now=NOW + 600)
    assert caught.value.reason == "expired_token"


def test_no_keys_at_all_is_the_endpoints_fault() -> None:
    held = Held(signer("a"))
    tokens, token = verifier(held), signer("a").token()
    tokens.client_of(token, now=NOW)
    held.current = None
    with pytest.raises(SignersUnknown) as caught:
        tokens.client_of(token, now=NOW)
    assert caught.value.retryable
    assert caught.value.retry_after_s > 0


def test_what_is_remembered_is_bounded() -> None:
    tokens = verifier(Held(signer("a", "EdDSA")), cached=3)
    made = [signer("a", "EdDSA").token({**CLAIMS, "sub": f"c{number}"}) for number in range(6)]
    clients = [tokens.client_of(token, now=NOW) for token in made]
    assert len(tokens._cache) == 3
    assert tokens.client_of(made[5], now=NOW) is clients[5]
    again = tokens.client_of(made[0], now=NOW)
    assert again == clients[0]
    assert again is not clients[0]


def test_no_token_is_kept() -> None:
    tokens, token = verifier(), signer("a").token()
    tokens.client_of(token, now=NOW)
    assert token not in repr(tokens._cache)
    assert all(len(digest) == 32 for digest in tokens._cache)
