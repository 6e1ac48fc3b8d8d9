import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.serving.security.errors import Unauthenticated
from tests.unit.serving.security.issuers import CLAIMS, Signer, signer
from tests.unit.serving.security.verifying import Held, client, part, refused


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
