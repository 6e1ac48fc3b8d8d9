import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from lockstep.serving.security.errors import KeySetInvalid, SecurityFileInvalid
from lockstep.serving.security.key_sets import KINDS, KeySet, KeySetFile, read_key_set
from tests.unit.serving.security.issuers import key_set, signer

ALL = tuple(KINDS)


def read(document: bytes | dict[str, Any], *algorithms: str) -> KeySet:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_key_set(text, algorithms=algorithms or ALL, source="test")


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"])
def test_a_key_is_found_by_its_id_for_its_algorithm(algorithm: str) -> None:
    keys = read(key_set(signer("a", algorithm)))
    found = keys.find("a", algorithm)
    assert found is not None
    assert found.algorithm_name == algorithm
    assert keys.find("b", algorithm) is None
    assert [kind for kind in ALL if keys.find("a", kind)] == [kind for kind in ALL if KINDS[kind] == KINDS[algorithm]]


def test_a_key_is_used_with_no_algorithm_but_those_allowed_and_its_own() -> None:
    keys = read(key_set(signer("a", "RS256")), "ES256", "RS512")
    assert keys.find("a", "RS256") is None
    assert keys.find("a", "RS512") is not None
    bound = {"keys": [{**signer("a", "RS256").public(), "alg": "RS256"}]}
    assert read(bound).find("a", "RS512") is None
    assert read(bound).find("a", "RS256") is not None


def test_without_an_id_the_only_key_that_fits_is_meant() -> None:
    one, two = signer("a"), signer("b")
    assert read(key_set(one, signer("c", "EdDSA"))).find(None, "ES256") is not None
    assert read(key_set(one, two)).find(None, "ES256") is None


def test_two_keys_of_one_id_are_ambiguous() -> None:
    twin = {**signer("b").public(), "kid": "a"}
    assert read({"keys": [signer("a").public(), twin]}).find("a", "ES256") is None


@pytest.mark.parametrize(
    "changed",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"kty": "oct"},
        {"crv": "P-521"},
        {"x": "AAAA"},
        {"x": 7},
        {"kid": 7},
        {"alg": "none"},
        {"alg": "HS256"},
    ],
)
def test_keys_for_other_purposes_are_passed_over(changed: dict[str, Any]) -> None:
    odd = {**signer("a").public(), **changed}
    keys = read({"keys": [odd, signer("b").public(), "text", None]})
    assert keys.find("b", "ES256") is not None
    assert keys.find("a", "ES256") is None
    with pytest.raises(KeySetInvalid, match="no key in it"):
        read({"keys": [odd]})


def test_a_weak_key_is_passed_over() -> None:
    weak = rsa.generate_private_key(65537, 1024).public_key()
    with pytest.raises(KeySetInvalid, match="no key in it"):
        read({"keys": [{**RSAAlgorithm.to_jwk(weak, as_dict=True), "kid": "a"}]})


def test_a_private_or_shared_key_is_refused_and_not_repeated() -> None:
    private = RSAAlgorithm.to_jwk(signer("a", "RS256").key, as_dict=True)
    for member in (private, {"kty": "oct", "k": "c2VjcmV0"}):
        with pytest.raises(KeySetInvalid, match="key 1 is private or shared") as caught:
            read({"keys": [signer("b").public(), member]})
        assert "c2VjcmV0" not in str(caught.value)
        assert str(private["d"]) not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (b"<html>", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[]", "no list 'keys'"),
        (b'{"keys": {}}', "no list 'keys'"),
        (b'{"keys": []}', "no key in it"),
        (b'{"keys": [' + b"{}," * 100 + b"{}]}", "at most 100"),
        (b" " * (2**20 + 1), "larger than"),
    ],
)
def test_what_is_no_key_set(document: bytes, problem: str) -> None:
    with pytest.raises(KeySetInvalid, match=problem):
        read(document)


MEMBER = st.dictionaries(
    st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops"]),
    st.sampled_from(["EC", "RSA", "OKP", "P-256", "Ed25519", "AQAB", "sig", "", "ES256"])
    | st.none()
    | st.integers()
    | st.text(max_size=5)
    | st.lists(st.text(max_size=3), max_size=2),
)


@settings(deadline=None)
@given(members=st.lists(MEMBER, max_size=4))
def test_any_document_is_read_or_refused(members: list[dict[str, Any]]) -> None:
    good = signer("good").public()
    assert read({"keys": [*members, good]}).find("good", "ES256") is not None
    try:
        read({"keys": members})
    except KeySetInvalid:
        pass


def test_a_file_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(signer("a")))
    source = KeySetFile(path, algorithms=["ES256"])
    first = source.current
    path.write_bytes(key_set(signer("b")))
    source.miss()
    source.files.refresh(now=1.0)
    assert first.find("a", "ES256") is not None
    assert source.current.find("a", "ES256") is None
    assert source.current.find("b", "ES256") is not None
    path.write_bytes(b"{}")
    source.files.refresh(now=2.0)
    assert source.current.find("b", "ES256") is not None
    assert source.files.problem is not None
    with pytest.raises(SecurityFileInvalid):
        KeySetFile(tmp_path / "none.json", algorithms=["ES256"])
