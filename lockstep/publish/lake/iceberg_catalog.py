"""The catalog of a folder of Iceberg tables, and what errors of PyIceberg mean."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    RESTError,
    ValidationException,
)
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

from lockstep.errors import CommitUncertain
from lockstep.publish.lake.engine import UNPUBLISHED, CommitLost, failed

NAME, WHAT = "lockstep", "Iceberg warehouse"
HINT = (
    "Check that LOCKSTEP_ICEBERG names a folder with room that you may write to, or a catalog of PyIceberg's "
    "configuration."
)
BUSY_S = 30
# SQLite's words for two writers at once: the file is locked, or both were making its tables.
RACES = ("locked", "already exists")


def embedded_catalog(folder: Path) -> Catalog:
    """Open the SQLite catalog of a folder, made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    where = folder.absolute()
    uri = f"sqlite:///{where / 'catalog.db'}?timeout={BUSY_S}"
    return SqlCatalog(NAME, uri=uri, warehouse=f"file://{where}")  # PyIceberg decodes no URL


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
        PublishError: Anything else.
    """
    try:
        yield
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
        raise failed(WHAT, location, str(error), in_commit=in_commit, consequence=f"{consequence} {HINT}") from error
