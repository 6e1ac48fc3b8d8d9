"""What becomes of values before they are written: nothing, nothing but null, or a keyed hash."""

import hashlib
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from lockstep.serving.inference_log.errors import SaltUnusable
from lockstep.specs.inference_log_spec import Policy

# Of a salt, and of a hash.
LEAST_SALT_BYTES, HASH_BYTES = 16, 16


def read_salt(path: Path) -> bytes:
    """Read the secret of a file, without white space at its ends.

    Raises:
        SaltUnusable: The file cannot be read, or holds too little to be a secret.
    """
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise SaltUnusable(str(path), problem=f"cannot be read ({error.strerror})") from error
    if len(secret) < LEAST_SALT_BYTES:
        raise SaltUnusable(str(path), problem=f"holds fewer than {LEAST_SALT_BYTES} bytes")
    return hashlib.blake2b(secret).digest()


def redacted(values: pa.Array, kind: pa.DataType, policy: Policy, *, salt: bytes) -> pa.Array:
    """Return what is written of a column.

    Args:
        values: Of the request or the model.
        kind: The column's type in the log.
        policy: Not `drop`, of which nothing is written.
        salt: Keys the hashes.

    Returns:
        An array of `kind`. A null stays null under every policy.
    """
    if policy == "null":
        return pa.nulls(len(values), kind)
    if policy == "hash":
        return hashed(values, salt)
    return values if values.type == kind else values.cast(kind)


def hashed(values: pa.Array, salt: bytes) -> pa.Array:
    """Return the hash of each value as text: 16 bytes of BLAKE2b, keyed, over the value's text in UTF-8.

    The text of a number, a boolean or a moment is Arrow's, that of a tensor its JSON.
    """
    if pa.types.is_nested(values.type):
        texts = [None if value is None else orjson.dumps(value) for value in values.to_pylist()]
        return pa.array([None if text is None else _hash(text, salt) for text in texts], pa.string())
    coded = values.cast(pa.string()).cast(pa.binary()).dictionary_encode()
    entries = pa.array([_hash(text, salt) for text in coded.dictionary.to_pylist()], pa.string())
    return pc.take(entries, coded.indices)


def _hash(text: bytes, salt: bytes) -> str:
    return hashlib.blake2b(text, digest_size=HASH_BYTES, key=salt).hexdigest()
