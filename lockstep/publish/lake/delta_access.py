"""How delta-rs reaches the folder of the tables, and what its errors mean.

In a store a commit is the creation of the next log file, provided that there is none: one conditional request. Nothing
is renamed, and no table of locks is needed.
"""

import contextlib
import errno
from collections.abc import Iterator

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from lockstep.errors import StoreUnusable
from lockstep.publish.lake.engine import UNPUBLISHED, CommitLost, failed
from lockstep.storage.files import Location
from lockstep.storage.objects import ObjectPath
from lockstep.storage.stores import (
    CONNECT_TIMEOUT_S,
    REQUEST_TIMEOUT_S,
    RETRIES,
    has_aws_profile,
    plain,
    s3_endpoint,
    store,
)

WHAT = "Delta warehouse"
HINT = "Check that LOCKSTEP_DELTA names a folder with room that you may write to."
S3 = ("s3", "s3a")
REQUEST = "Error performing "  # of a store, in what object_store says


def options(place: Location) -> dict[str, str] | None:
    """Return how delta-rs is to reach a store; it finds the credentials itself, by the platform's chain.

    Raises:
        StoreUnusable: There are no credentials, or the environment says something of the store that is not understood.
    """
    if not isinstance(place, ObjectPath):
        return None
    store(place.root)
    backoff = RETRIES["backoff"]
    found = {
        "timeout": REQUEST_TIMEOUT_S,
        "connect_timeout": CONNECT_TIMEOUT_S,
        "max_retries": str(RETRIES["max_retries"]),
        "retry_timeout": f"{RETRIES['retry_timeout'].total_seconds():.0f}s",
        "backoff_config.init_backoff": f"{backoff['init_backoff'].total_seconds() * 1000:.0f}ms",
        "backoff_config.max_backoff": f"{backoff['max_backoff'].total_seconds():.0f}s",
        "backoff_config.base": str(backoff["base"]),
    }
    return found | (_s3_options() if place.root.partition("://")[0] in S3 else {})


def _s3_options() -> dict[str, str]:
    endpoint = s3_endpoint()
    found = {
        "aws_conditional_put": "etag",
        # Whatever the environment says: two commits of one version would both be taken.
        "AWS_S3_ALLOW_UNSAFE_RENAME": "false",
        "aws_allow_http": str(endpoint.startswith("http://")).lower(),
    }
    if endpoint:
        found["aws_endpoint"] = endpoint
    if has_aws_profile():  # beside an endpoint delta-rs looks for profiles only when told to
        found["AWS_FORCE_CREDENTIAL_LOAD"] = "true"
    return found


def load_table(path: Location) -> DeltaTable | None:
    """Return the newest state of a table; `None` when there is none."""
    try:
        return DeltaTable(str(path), storage_options=options(path))
    except TableNotFoundError:
        return None


@contextlib.contextmanager
def translated(location: str, *, in_commit: bool = False, consequence: str = UNPUBLISHED) -> Iterator[None]:
    """Turn errors of the library into ours.

    Args:
        location: Where the tables are.
        in_commit: Whether the body commits to a published table.
        consequence: What a failure of the body means, for its message.

    Raises:
        CommitLost: Another writer committed first; nothing was written.
        CommitUncertain: Whether the commit was made is not known.
        StoreUnusable: The store refuses, or is away.
        PublishError: Anything else.
    """
    try:
        yield
    except CommitFailedError as error:
        raise CommitLost from error
    except StoreUnusable:
        raise
    except (DeltaError, OSError, ValueError) as error:
        in_store = "://" in location
        reason = plain(str(error)) if in_store else str(error)
        if in_store and not in_commit and (isinstance(error, OSError) or REQUEST in str(error)):
            raise StoreUnusable(errno.EIO, reason, location) from None
        # What the library says of a request may hold a signature, and so may the chain of causes.
        cause = None if in_store else error
        raise failed(WHAT, location, reason, in_commit=in_commit, consequence=f"{consequence} {HINT}") from cause
