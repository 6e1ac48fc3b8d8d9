"""The public keys of an identity provider: a JSON Web Key Set, and where it comes from."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from lockstep.serving.security.errors import KeySetInvalid
from lockstep.serving.security.reloading import FollowedFiles, read_file

MOST_KEYS = 100
LARGEST_BYTES = 2**20
SHORTEST_RSA_BITS = 2048
# Members that only a private or a shared key has.
SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
KINDS: dict[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}


@dataclass(frozen=True)
class KeySet:
    """Keys by id and algorithm. Equal when the documents are."""

    fingerprint: str
    keys: Mapping[tuple[str | None, str], Sequence[PyJWK]] = field(compare=False, repr=False)

    def find(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        """Return the key that must have signed a token.

        Args:
            key_id: The token's `kid`. Without one, the only key that fits is meant; several are not tried in turn.
            algorithm: The token's `alg`, which the configuration allows.
        """
        if key_id is not None:
            found = self.keys.get((key_id, algorithm), ())
        else:
            found = [key for (_, kind), keys in self.keys.items() if kind == algorithm for key in keys]
        return found[0] if len(found) == 1 else None


class KeySource(Protocol):
    """Where the keys are held.

    Attributes:
        current: The keys of now; none: there are none that may be used.
    """

    @property
    def current(self) -> KeySet | None:
        """The keys of now."""
        ...

    def miss(self) -> None:
        """Say that a token names a key that is not there: it may be a new one."""
        ...


def read_key_set(document: bytes, *, algorithms: Sequence[str], source: str) -> KeySet:
    """Read a JSON Web Key Set.

    Args:
        document: The set.
        algorithms: The only ones that its keys are used with.
        source: Where it comes from, for messages.

    Raises:
        KeySetInvalid: It is none, holds a private or shared key, or none that can be used.
    """
    keys: dict[tuple[str | None, str], list[PyJWK]] = {}
    for place, member in enumerate(_members(document, source)):
        if SECRET_MEMBERS & member.keys():
            raise KeySetInvalid(source, problem=f"key {place} is private or shared; whoever can read it can log in")
        for algorithm in algorithms:
            key = _usable(member, algorithm)
            if key is not None:
                keys.setdefault((member.get("kid"), algorithm), []).append(key)
    if not keys:
        expected = ", ".join(algorithms)
        raise KeySetInvalid(source, problem=f"no key in it can check a signature of the kinds {expected}")
    return KeySet(hashlib.sha256(document).hexdigest(), keys)


def _members(document: bytes, source: str) -> Iterator[dict[str, Any]]:
    if len(document) > LARGEST_BYTES:
        raise KeySetInvalid(source, problem=f"it is larger than {LARGEST_BYTES} bytes")
    try:
        found = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise KeySetInvalid(source, problem="it is not JSON") from error
    members = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(members, list) or len(members) > MOST_KEYS:
        raise KeySetInvalid(source, problem=f"it has no list 'keys' of at most {MOST_KEYS}")
    return (member for member in members if isinstance(member, dict))


def _usable(member: dict[str, Any], algorithm: str) -> PyJWK | None:
    """Return the key bound to an algorithm; none when it is not meant for it, or too weak. A set may hold others."""
    family, curve = KINDS[algorithm]
    operations = member.get("key_ops", ["verify"])
    fits = (
        member.get("kty") == family
        and (curve is None or member.get("crv") == curve)
        and member.get("alg", algorithm) == algorithm
        and member.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and isinstance(member.get("kid", ""), str)
    )
    if not fits:
        return None
    try:
        key = PyJWK(member, algorithm)
    except (PyJWTError, ValueError, TypeError):
        return None
    return None if family == "RSA" and key.key.key_size < SHORTEST_RSA_BITS else key


class KeySetFile:
    """Keys from a file, which is read again when it changes."""

    def __init__(self, path: Path, *, algorithms: Sequence[str]) -> None:
        def load() -> KeySet:
            return read_key_set(read_file(path), algorithms=algorithms, source=str(path))

        self.files = FollowedFiles([path], load)

    @property
    def current(self) -> KeySet:
        """The keys of now."""
        return self.files.current

    def miss(self) -> None:
        """Nothing is to be done: the file is looked at every second."""
