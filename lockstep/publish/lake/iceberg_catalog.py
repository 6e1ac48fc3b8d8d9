"""The catalog of a folder of Iceberg tables or of PyIceberg's configuration, and what errors of PyIceberg mean."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyarrow.fs import AwsStandardS3RetryStrategy
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    RESTError,
    ValidationException,
)
from pyiceberg.io import S3_ENDPOINT, S3_REGION, S3_RETRY_STRATEGY_IMPL
from pyiceberg.utils.config import Config
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

from lockstep.errors import CommitUncertain, StoreUnusable
from lockstep.publish.lake.engine import UNPUBLISHED, CommitLost, failed
from lockstep.scoring.storage import S3_ATTEMPTS
from lockstep.storage.stores import plain, s3_endpoint

NAME, WHAT = "lockstep", "Iceberg warehouse"
HINT = (
    "Check that LOCKSTEP_ICEBERG names a folder with room that you may write to, or a catalog of PyIceberg's "
    "configuration."
)
BUSY_S = 30
# SQLite's words for two writers at once: the file is locked, or both were making its tables.
RACES = ("locked", "already exists")
OF_STORE = "AWS Error"  # so Arrow begins what S3 said
# Stores other than Amazon's have none, and Amazon is not asked which it is.
ANY_REGION = "us-east-1"


class PatientRetries(AwsStandardS3RetryStrategy):  # type: ignore[misc]  # pyarrow has no types
    """For as long as a store is away; PyIceberg makes it by its name and without arguments."""

    def __init__(self) -> None:
        """Say how often a request is repeated."""
        super().__init__(max_attempts=S3_ATTEMPTS)


def embedded_catalog(folder: Path) -> Catalog:
    """Open the SQLite catalog of a folder, made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    where = folder.absolute()
    uri = f"sqlite:///{where / 'catalog.db'}?timeout={BUSY_S}"
    return SqlCatalog(NAME, uri=uri, warehouse=f"file://{where}")  # PyIceberg decodes no URL


def named_catalog(name: str) -> Catalog:
    """Open a catalog of PyIceberg's configuration; what that does not say of S3, the environment does."""
    configured: dict[str, Any] = dict(Config().get_catalog_config(name) or {})
    return load_catalog(name, **{**s3_properties(), **configured})


def s3_properties() -> dict[str, str]:
    """Return how PyIceberg reaches a store that speaks S3; Arrow finds the credentials, by the platform's chain."""
    found = {S3_RETRY_STRATEGY_IMPL: f"{__name__}.{PatientRetries.__name__}"}
    endpoint = s3_endpoint()
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or (endpoint and ANY_REGION)
    if endpoint:
        found[S3_ENDPOINT] = endpoint
    if region:
        found[S3_REGION] = region
    return found


@contextlib.contextmanager
def translated(location: str, *, in_commit: bool = False, consequence: str = UNPUBLISHED) -> Iterator[None]:
    """Turn errors of the library into ours.

    Args:
        location: Where the catalog is.
        in_commit: Whether the body commits to a published table.
        consequence: What a failure of the body means, for its message.

    Raises:
        CommitLost: Another writer committed first; nothing was written.
        CommitUncertain: Whether the commit was made is not known.
        StoreUnusable: The store of the files refuses, or is away.
        PublishError: Anything else.
    """
    try:
        yield
    except StoreUnusable:
        raise
    except (CommitFailedException, ValidationException, IntegrityError) as error:  # the last: both made a namespace
        raise CommitLost from error
    except CommitStateUnknownException as error:
        raise CommitUncertain(location, reason="the catalog did not say whether it took the commit") from error
    except OperationalError as error:
        if any(words in str(error.orig) for words in RACES):
            raise CommitLost from error
        raise failed(
            WHAT, location, str(error.orig), in_commit=in_commit, consequence=f"{consequence} {HINT}"
        ) from error
    except (SQLAlchemyError, RESTError, OSError, ValueError) as error:
        if OF_STORE not in str(error):
            hint = f"{consequence} {HINT}"
            raise failed(WHAT, location, str(error), in_commit=in_commit, consequence=hint) from error
        # What is said of a request may hold a signature, and so may the chain of causes.
        reason = plain(str(error))
        if in_commit:
            raise CommitUncertain(location, reason=reason) from None
        raise StoreUnusable(errno.EIO, reason, location) from None
