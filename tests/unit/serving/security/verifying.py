"""A verifier of tokens over keys that a test changes, and what it makes of a token."""

import base64
import json
from typing import Any

import pytest

from lockstep.serving.security.clients import Client
from lockstep.serving.security.errors import Unauthenticated
from lockstep.serving.security.key_sets import KeySet, read_key_set
from lockstep.serving.security.tokens import TokenVerifier
from tests.unit.serving.security.issuers import NOW, Signer, jwt_config, key_set, signer

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
