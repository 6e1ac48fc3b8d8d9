"""Types of the fields of a spec: names, paths, places without credentials, schedules."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator

from lockstep.errors.suggestions import did_you_mean

ColumnType = Literal["string", "int", "long", "double", "boolean", "date", "timestamp"]

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
CRON_FIELDS = 5
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
# Of each field: lowest and highest number, and the words that stand for numbers.
CRON: dict[str, tuple[int, int, list[str]]] = {
    "minute": (0, 59, []),
    "hour": (0, 23, []),
    "day": (1, 31, []),
    "month": (1, 12, MONTHS),
    "weekday": (0, 7, WEEKDAYS),
}


def _identifier(value: str) -> str:
    if not IDENTIFIER.fullmatch(value):
        raise ValueError("must be letters, digits and underscores, not starting with a digit")
    return value


def _relative_path(value: str) -> str:
    if value.startswith("/") or ".." in value.split("/"):
        raise ValueError("must be a path inside its own folder (no leading '/' and no '..')")
    return value


def _cron(value: str) -> str:
    fields = value.split()
    if len(fields) != CRON_FIELDS:
        raise ValueError(f"must be a cron expression of {CRON_FIELDS} fields, such as '0 6 * * *', not {value!r}")
    for text, (name, (lowest, highest, words)) in zip(fields, CRON.items(), strict=True):
        numbers = [int(word) for word in re.findall(r"(?<![/\w#])\d+", text)]
        if wrong := [number for number in numbers if not lowest <= number <= highest]:
            raise ValueError(f"has {wrong[0]} as {name}, in {value!r}; expected {lowest} to {highest}")
        if words and (strange := [word for word in re.findall(r"[A-Za-z]{2,}", text) if word.upper() not in words]):
            raise ValueError(f"has {strange[0]!r} as {name}, in {value!r}; expected one of {', '.join(words)}")
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        meant = did_you_mean(value, available_timezones())
        raise ValueError(
            f"must be an IANA time zone, such as 'America/New_York' or 'UTC', not {value!r}.{meant}"
        ) from error
    return value


SECRET = re.compile(r"secret|passw|token|credential|access.?key|sas|account.?key|signature", re.IGNORECASE)
CREDENTIALS = (
    "must hold no credentials: they belong in the environment, or in the configuration of the store or catalog"
)


def without_credentials(value: str) -> str:
    """Return a path or URL, or raise `ValueError` when it holds a secret."""
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise ValueError(f"is not a path or URL: {error}") from error
    if parts.password is not None or SECRET.search(parts.query):
        raise ValueError(CREDENTIALS)
    return value


def _location(value: str) -> str:
    if "://" in value:
        return without_credentials(value)
    if not value or ".." in value.split("/"):
        raise ValueError("must be a path (relative ones are below the data root) or a URL, without '..'")
    return value


def _catalog_properties(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        if SECRET.search(key):
            raise ValueError(f"{key!r} {CREDENTIALS}")
        without_credentials(text)
    return value


Identifier = Annotated[str, AfterValidator(_identifier)]
RelativePath = Annotated[str, AfterValidator(_relative_path)]
Location = Annotated[str, AfterValidator(_location)]
CatalogProperties = Annotated[dict[str, str], AfterValidator(_catalog_properties)]
Cron = Annotated[str, AfterValidator(_cron)]
Timezone = Annotated[str, AfterValidator(_timezone)]
