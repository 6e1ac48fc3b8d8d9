"""JSON Web Tokens: verified once, then remembered until they expire or the provider's keys change."""

import hashlib
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.exceptions import (
    InvalidAudienceError,
    InvalidIssuerError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)

from lockstep.serving.security.clients import Client, client_with
from lockstep.serving.security.errors import Reason, SignersUnknown, Unauthenticated
from lockstep.serving.security.key_sets import KeySet, KeySource
from lockstep.specs.serving_security import Jwt

RETRY_AFTER_S = 5
LONGEST_NAME = 256
# Times are checked here, against the clock that is handed in.
OPTIONS: Any = {
    "require": ["exp", "iss", "aud"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "enforce_minimum_key_length": True,
}
# The first that fits counts.
REASONS: tuple[tuple[type[PyJWTError], Reason], ...] = (
    (InvalidSignatureError, "signature"),
    (InvalidIssuerError, "issuer"),
    (InvalidAudienceError, "audience"),
    (MissingRequiredClaimError, "claims"),
    (PyJWTError, "malformed"),
)


@dataclass(frozen=True, slots=True)
class _Verified:
    client: Client
    until: float
    keys: KeySet


class TokenVerifier:
    """Turns tokens into clients. May be used by several threads."""

    def __init__(self, config: Jwt, keys: KeySource) -> None:
        self._config = config
        self._keys = keys
        self._cache: dict[bytes, _Verified] = {}
        self._lock = threading.Lock()

    def client_of(self, token: str, *, now: float) -> Client:
        """Return the client of a token.

        Args:
            token: As it was sent.
            now: Seconds since 1970.

        Raises:
            Unauthenticated: It is not valid here and now.
            SignersUnknown: There are no keys to check it with.
        """
        keys = self._keys.current
        digest = hashlib.sha256(token.encode()).digest()
        known = self._cache.get(digest)
        if known is not None and known.keys is keys and now < known.until:
            return known.client
        if keys is None:
            self._keys.miss()
            raise SignersUnknown(retry_after_s=RETRY_AFTER_S)
        claims = self._verify(token, keys)
        until = self._check_times(claims, now=now)
        verified = _Verified(self._client(claims), until, keys)
        self._remember(digest, verified)
        return verified.client

    def _verify(self, token: str, keys: KeySet) -> dict[str, Any]:
        config = self._config
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in config.algorithms:
                raise Unauthenticated("algorithm")
            # The key is bound to its algorithm, and comes from the provider: never from the token (jwk, jku, x5u).
            key = keys.find(header.get("kid"), algorithm)
            if key is None:
                self._keys.miss()
                raise Unauthenticated("unknown_signer")
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                options=OPTIONS,
                audience=config.audience,
                issuer=config.issuer,
            )
        except PyJWTError as error:
            raise Unauthenticated(next(reason for kind, reason in REASONS if isinstance(error, kind))) from error

    def _check_times(self, claims: Mapping[str, Any], *, now: float) -> float:
        """Return until when the token is valid."""
        leeway_s = self._config.leeway_s
        ends = _seconds(claims, "exp") + leeway_s
        if now >= ends:
            raise Unauthenticated("expired_token")
        if any(now + leeway_s < _seconds(claims, claim) for claim in ("nbf", "iat") if claim in claims):
            raise Unauthenticated("not_yet_valid")
        return ends

    def _client(self, claims: Mapping[str, Any]) -> Client:
        name = _claim(claims, self._config.client_claim)
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise Unauthenticated("claims")
        rights = [
            grant for grant in self._config.grants if grant.claim is None or grant.value in _words(claims, grant.claim)
        ]
        return client_with(name, "token", rights)

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        with self._lock:
            # Only valid tokens come here, so nobody without one can push others out.
            if len(self._cache) >= self._config.cached:
                del self._cache[next(iter(self._cache))]
            self._cache[digest] = verified


def _seconds(claims: Mapping[str, Any], claim: str) -> float:
    value = claims[claim]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unauthenticated("claims")
    try:
        seconds = float(value)
    except OverflowError as error:
        raise Unauthenticated("claims") from error
    if not math.isfinite(seconds):
        raise Unauthenticated("claims")
    return seconds


def _claim(claims: Mapping[str, Any], path: Sequence[str]) -> Any:
    found: Any = claims
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _words(claims: Mapping[str, Any], path: Sequence[str]) -> frozenset[str]:
    """Return the values of a claim: the items of a list, or a text as a whole and its words (as scopes are written)."""
    found = _claim(claims, path)
    if isinstance(found, str):
        return frozenset((found, *found.split()))
    return frozenset(item for item in found if isinstance(item, str)) if isinstance(found, list) else frozenset()
