"""Fencing tokens from a Delta table: each claim is an empty commit, and its version is the token.

A commit becomes version n by creating the log file of that number, which only one writer can (Delta transaction log
protocol), so no token is given out twice. The files are read by their names: `DeltaTable.history` counts versions
down from the one that was loaded, which is wrong when others commit meanwhile. Versions have no gaps, so nothing is
listed.
"""

import itertools
import json
import uuid

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable

from lockstep.publish.lake.delta_log import commit_info
from lockstep.publish.lake.engine import CommitLost
from lockstep.storage.files import Location

CLAIM, CLAIM_ID = "lockstep.claim", "lockstep.claim-id"
SCHEMA = pa.schema([("claim", pa.string())])


def add_claim(claims: DeltaTable, folder: Location, *, claim: tuple[str, str, str]) -> int:
    """Record a claim (table, partition, run key); return its token.

    Args:
        claims: The table of claims.
        folder: Its folder.
        claim: What is claimed.
    """
    own, first = uuid.uuid4().hex, claims.version()
    words = {CLAIM: json.dumps(claim), CLAIM_ID: own}
    properties = CommitProperties(custom_metadata=words)
    claims.create_write_transaction([], "append", claims.schema(), commit_properties=properties)
    for token in itertools.count(first + 1):
        info = commit_info(folder, token)
        if info is None:
            raise CommitLost
        if info.get(CLAIM_ID) == own:
            return token
    raise AssertionError("counting does not end")


def find_claim(folder: Location, token: int) -> tuple[str, str, str] | None:
    """Return (table, partition, run key) of a token; `None` when there is no such claim."""
    text = (commit_info(folder, token) or {}).get(CLAIM)
    if text is None:
        return None
    table, partition, run_key = json.loads(text)
    return table, partition, run_key
