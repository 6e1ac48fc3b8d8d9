"""Fencing tokens from a Delta table: each claim is an empty commit, and its version is the token.

A commit becomes version n by creating the log file of that number, which only one writer can (Delta transaction log
protocol), so no token is given out twice. The files are read by their names: `DeltaTable.history` counts versions
down from the one that was loaded, which is wrong when others commit meanwhile.
"""

import json
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable

from lockstep.publish.lake.engine import CommitLost

CLAIM, CLAIM_ID = "lockstep.claim", "lockstep.claim-id"
SCHEMA = pa.schema([("claim", pa.string())])


def add_claim(claims: DeltaTable, folder: Path, *, claim: tuple[str, str, str]) -> int:
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
    for file in sorted((folder / "_delta_log").glob("*.json"), reverse=True):
        if int(file.stem) <= first:
            break
        if _commit_info(file).get(CLAIM_ID) == own:
            return int(file.stem)
    raise CommitLost


def find_claim(folder: Path, token: int) -> tuple[str, str, str] | None:
    """Return (table, partition, run key) of a token; `None` when there is no such claim."""
    text = _commit_info(folder / "_delta_log" / f"{token:020d}.json").get(CLAIM)
    if text is None:
        return None
    table, partition, run_key = json.loads(text)
    return table, partition, run_key


def _commit_info(file: Path) -> dict[str, Any]:
    try:
        actions = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
    except FileNotFoundError:
        return {}
    return next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
