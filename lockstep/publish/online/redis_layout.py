"""Where an online store's tables are in Redis, and how it is spoken to; writer and readers share it.

Of a table there are: a version, which every visible change replaces; what is loaded and the fences, by partition; and
for each load a hash of its rows. All names have the table in braces, so that a cluster keeps them together.
"""

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass

from lockstep.publish.online.contract import Fence, LoadedPartition

# Redis' own clients take the password from here.
PASSWORD = "REDISCLI_AUTH"  # noqa: S105 - the name of a variable
# A field of every hash of rows: without it, the hash was evicted or has expired.
MARK = b""


@dataclass(frozen=True)
class TableNames:
    """Names of the keys of a table."""

    table: str

    @property
    def version(self) -> str:
        """Of the text that changes with the table."""
        return f"lockstep:{{{self.table}}}:version"

    @property
    def live(self) -> str:
        """Of what is loaded, by partition."""
        return f"lockstep:{{{self.table}}}:live"

    @property
    def fences(self) -> str:
        """Of the fences, by partition."""
        return f"lockstep:{{{self.table}}}:fences"

    def rows(self, load: str) -> str:
        """Of the rows of a load."""
        return f"lockstep:{{{self.table}}}:rows:{load}"


@dataclass(frozen=True)
class TableState:
    """A table at one moment."""

    live: Mapping[dt.date, LoadedPartition]
    fences: Mapping[dt.date, Fence]

    @property
    def newest_first(self) -> list[LoadedPartition]:
        """What is loaded."""
        return [self.live[day] for day in sorted(self.live, reverse=True)]


def password(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the password that the environment has for Redis, if any."""
    return environ.get(PASSWORD) or None


def parse_live(found: Mapping[bytes, bytes]) -> dict[dt.date, LoadedPartition]:
    """Read what is loaded of a table."""
    return {dt.date.fromisoformat(day.decode()): LoadedPartition.model_validate_json(v) for day, v in found.items()}


def reason(error: Exception) -> str:
    """Return why Redis refused, without anything of a command's own values."""
    return (str(error) or type(error).__name__).partition(", with args")[0]
