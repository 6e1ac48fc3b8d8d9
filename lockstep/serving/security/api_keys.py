"""API keys: made here, kept as hashes, looked up in microseconds.

A key is 32 random bytes, so one round of a fast hash without salt keeps it safe: there is nothing to guess.
"""

import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from lockstep.errors import SpecError
from lockstep.serving.security.clients import Client, client_with
from lockstep.serving.security.errors import SecurityFileInvalid, Unauthenticated
from lockstep.serving.security.reloading import FollowedFiles, read_file
from lockstep.specs.loading import validate
from lockstep.specs.serving_security import ApiKeyEntry, ApiKeyFile, Role

PREFIX = "lsk_"
KEY_BYTES = 32
INDEX_BYTES = 16

HASHES: dict[str, Callable[[bytes], bytes]] = {
    "sha256": lambda key: hashlib.sha256(key).digest(),
    "blake2b": lambda key: hashlib.blake2b(key, digest_size=32).digest(),
}


def new_api_key(
    name: str,
    *,
    models: Sequence[str],
    roles: Sequence[Role] = ("infer", "read"),
    expires: dt.datetime | None = None,
) -> tuple[str, ApiKeyEntry]:
    """Make an API key.

    Args:
        name: Client that will use it.
        models: Models that it may be used with, `*` for all.
        roles: What it may be used for.
        expires: From when it is refused, with time zone; none: never.

    Returns:
        The key, for the client (it is nowhere else), and its entry, for the file of keys.
    """
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    digest = "sha256:" + HASHES["sha256"](key.encode()).hex()
    facts = {"name": name, "hash": digest, "models": tuple(models), "roles": tuple(roles), "expires": expires}
    return key, ApiKeyEntry.model_validate(facts)


def entry_text(entry: ApiKeyEntry) -> str:
    """Write an entry as lines to append to the list `keys` of a file of keys."""
    facts = entry.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump([facts], sort_keys=False, default_flow_style=None, width=200)


@dataclass(frozen=True, slots=True)
class _Record:
    digest: bytes
    client: Client | None
    expires: float


_NOBODY = _Record(bytes(32), None, 0.0)


class ApiKeyTable:
    """The keys of one state of the file."""

    def __init__(self, file: ApiKeyFile) -> None:
        self._file = file
        tables: dict[str, dict[bytes, _Record]] = {}
        for entry in file.keys:
            kind, _, text = entry.hash.partition(":")
            digest = bytes.fromhex(text)
            expires = float("inf") if entry.expires is None else entry.expires.timestamp()
            record = _Record(digest, client_with(entry.name, "api_key", [entry]), expires)
            tables.setdefault(kind, {})[digest[:INDEX_BYTES]] = record
        self._tables = tuple((HASHES[kind], table) for kind, table in tables.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiKeyTable) and self._file == other._file

    def __hash__(self) -> int:
        return hash(self._file)

    def client_of(self, key: str, *, now: float) -> Client:
        """Return the client of a key.

        Args:
            key: As it was sent.
            now: Seconds since 1970.

        Raises:
            Unauthenticated: The key is unknown or has expired; to the client both look alike.
        """
        found = _NOBODY
        raw = key.encode()
        for digest_of, table in self._tables:
            digest = digest_of(raw)
            # Half of the digest finds the record, and the compare takes as long whether or not there is one.
            record = table.get(digest[:INDEX_BYTES], _NOBODY)
            if hmac.compare_digest(record.digest, digest):
                found = record
        if found.client is None:
            raise Unauthenticated("unknown_key")
        if now >= found.expires:
            raise Unauthenticated("expired_key", client=found.client.name)
        return found.client


def load_keys(path: Path) -> ApiKeyTable:
    """Read a file of keys.

    Raises:
        SecurityFileInvalid: It cannot be used.
    """
    read_file(path)
    try:
        return ApiKeyTable(validate(ApiKeyFile, path))
    except SpecError as error:
        raise SecurityFileInvalid(path, error.problems) from error


def follow_keys(path: Path) -> FollowedFiles[ApiKeyTable]:
    """Read a file of keys, to be read again when it changes."""
    return FollowedFiles([path], lambda: load_keys(path))
