import base64
import hashlib
import hmac
import json
import math
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.serving.security.clients import Client
from lockstep.serving.security.errors import SignersUnknown, Unauthenticated
from lockstep.serving.security.key_sets import KeySet, read_key_set
from lockstep.serving.security.tokens import TokenVerifier
from tests.unit.serving.security.issuers import CLAIMS, ISSUER, NOW, Signer, jwt_config, key_set, signer

ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"]


class Held:
    """Keys that a test changes."""

    def __init__(self, *signers: Signer) -> None:
        self.current: KeySet | None = None
        self.misses = 0
        self.hold(*signers)

    def hold(self, *signers: Signer) -> None:
        self.current = read_key_set(key_set(*signers), algorithms=ALGORITHMS, source="test")

    def miss(self) -> None:
        self.misses += 1


def verifier(held: Held | None = None, **facts: Any) -> TokenVerifier:
    return TokenVerifier(jwt_config(**{"algorithms": ALGORITHMS, **facts}), held or Held(signer("a")))


def client(token: str, *, now: float = NOW, held: Held | None = None, **facts: Any) -> Client:
    return verifier(held, **facts).client_of(token, now=now)


def refused(token: str, *, now: float = NOW, held: Held | None = None, **facts: Any) -> str:
    with pytest.raises(Unauthenticated) as caught:
        client(token, now=now, held=held, **facts)
    assert str(caught.value).startswith("the credentials are not accepted here")
    return caught.value.reason


def part(facts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(facts).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_names_its_client_and_its_rights(algorithm: str) -> None:
    one = signer("k", algorithm)
    found = client(one.token(), held=Held(one))
    assert (found.name, found.method) == ("nightly", "token")
    assert found.may("infer", "churn")
    assert not found.may("infer", "fraud")
    assert not found.may("admin")


# --- Forgeries -------------------------------------------------------------------------------------------------


def test_no_signature() -> None:
    for name in ("none", "None", "NONE", "nOnE", ""):
        unsigned = f"{part({'alg': name, 'typ': 'JWT', 'kid': 'a'})}.{part(CLAIMS)}."
        assert refused(unsigned) == "algorithm"
    assert refused(f"{part({'typ': 'JWT', 'kid': 'a'})}.{part(CLAIMS)}.") == "algorithm"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("form", ["pem", "jwk", "der"])
def test_a_public_key_is_no_shared_secret(algorithm: str, form: str) -> None:
    one = signer("k", algorithm)
    pem = one.pem()
    secret = {
        "pem": pem,
        "jwk": json.dumps(one.public()).encode(),
        "der": base64.b64decode(b"".join(pem.splitlines()[1:-1])),
    }[form]
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'k'})}.{part(CLAIMS)}"
    mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    forged = signed + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    # It is a valid token for whoever takes the secret for one.
    assert jwt.api_jws.PyJWS().get_algorithm_by_name("HS256").verify(signed.encode(), secret, mac)  # type: ignore[arg-type]
    assert refused(forged, held=Held(one)) == "algorithm"


def test_a_signature_of_another_algorithm_of_the_same_key() -> None:
    one = signer("k", "RS256")
    other = jwt.encode(CLAIMS, one.key, "PS256", headers={"kid": "k"})
    assert client(other, held=Held(one)).name == "nightly"
    assert refused(other, held=Held(one), algorithms=["RS256"]) == "algorithm"
    renamed = part({"alg": "RS256", "kid": "k"}) + other[other.index(".") :]
    assert refused(renamed, held=Held(one)) == "signature"


def test_another_key_under_a_known_id() -> None:
    stranger = Signer("a", "ES256", signer("stranger").key)
    assert refused(stranger.token()) == "signature"


def test_a_key_that_comes_with_its_token_is_not_taken() -> None:
    stranger = signer("stranger")
    own: dict[str, Any] = {
        "jwk": stranger.public(),
        "jku": "https://evil.example.com/keys",
        "x5u": "https://evil.example.com",
    }
    assert refused(stranger.token(kid=None, **own)) == "signature"
    assert refused(stranger.token(**own)) == "unknown_signer"


def test_changed_claims() -> None:
    header, _, signature = signer("a").token().split(".")
    assert refused(f"{header}.{part({**CLAIMS, 'sub': 'admin'})}.{signature}") == "signature"


def test_unknown_critical_headers() -> None:
    assert refused(signer("a").token(crit=["exp"], exp=1)) == "malformed"
    detached = jwt.api_jws.encode(json.dumps(CLAIMS).encode(), signer("a").key, "ES256", {"kid": "a", "b64": False})
    assert refused(detached) == "malformed"


@settings(max_examples=300, deadline=None)
@given(
    token=st.from_regex(
        r"[\w=-]{0,30}\.[\w=-]{0,30}\.[\w=-]{0,30}", fullmatch=True, alphabet=st.characters(codec="ascii")
    )
)
def test_nothing_like_a_token_is_accepted_or_breaks_anything(token: str) -> None:
    assert refused(token) in {"malformed", "algorithm", "unknown_signer", "signature"}


HEADER = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "b64"]),
    st.sampled_from(["ES256", "none", "a", "RS256"])
    | st.none()
    | st.integers()
    | st.lists(st.text(max_size=3), max_size=2)
    | st.booleans()
    | st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)


@settings(max_examples=300, deadline=None)
@given(
    header=HEADER,
    claims=st.recursive(
        st.none() | st.text() | st.integers(), lambda item: st.lists(item) | st.dictionaries(st.text(), item)
    ),
)
def test_any_header_and_claims_without_a_signature_are_refused(header: dict[str, Any], claims: Any) -> None:
    assert refused(f"{part(header)}.{part(claims)}.AAAA") in {"malformed", "algorithm", "unknown_signer", "signature"}


@settings(deadline=None)
@given(place=st.integers(0), letter=st.sampled_from("AQgw_-09"))
def test_a_token_with_one_other_letter_is_refused(place: int, letter: str) -> None:
    token = TOKEN
    place %= len(token)
    if token[place] == letter or token[place] == ".":
        return
    with pytest.raises(Unauthenticated):
        client(token[:place] + letter + token[place + 1 :])


TOKEN = signer("a").token()


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
