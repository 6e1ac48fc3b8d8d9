"""Connect to Snowflake by a name in the connector's own configuration, and translate what it says."""

import logging
from collections.abc import Mapping
from typing import Any, cast

import snowflake.connector as snowflake
from snowflake.connector import errors
from snowflake.connector.config_manager import CONFIG_MANAGER

from lockstep.errors import PublishError, WarehouseBusy, WarehouseLocked, WarehouseUnreachable

VARIABLE = "LOCKSTEP_SNOWFLAKE"
# These open a browser and wait for a person.
INTERACTIVE = {"externalbrowser", "oauth_authorization_code"}
# Whatever account and machine say: times are UTC, nothing is reported home, a lost client's statement ends.
SESSION = {
    "TIMEZONE": "UTC",
    "CLIENT_TELEMETRY_ENABLED": False,
    "ABORT_DETACHED_QUERY": True,
}
NETWORK_TIMEOUT_S = 300
TOO_MANY_WAIT = 625
FROM_CONNECTOR, HTTP_5XX, DATA_ERRORS = range(250_000, 300_000), range(290_500, 290_600), range(100_000, 101_000)
CANCELED = "57014"
ANSWERS_LATER = (
    errors.OperationalError,
    errors.HttpError,
    errors.InternalServerError,
    errors.ServiceUnavailableError,
    errors.GatewayTimeoutError,
    errors.RequestTimeoutError,
    errors.TooManyRequests,
    errors.BadGatewayError,
)


def connect(location: str, *, wait_s: float) -> snowflake.SnowflakeConnection:
    """Open a connection.

    Args:
        location: Name of a connection that the connector's configuration knows, then perhaps a database and a schema,
            which the configuration may name just as well: `analytics/SCORES/PUBLIC`.
        wait_s: How long a statement waits for a lock, in seconds.

    Raises:
        PublishError: The configuration does not know it, or it asks for a person.
        errors.Error: It cannot be opened.
    """
    name, *place = location.split("/")
    known = _configured(name)
    if str(known.get("authenticator", "")).lower() in INTERACTIVE:
        raise PublishError(
            f"connection {name!r} of {VARIABLE} logs in with a browser, which a scheduled run has not. Nothing was "
            "published. Give it a key pair, a token or a workload identity in the connector's connections.toml."
        )
    logging.getLogger("snowflake").setLevel(logging.WARNING)
    asked: dict[str, Any] = dict(zip(("database", "schema"), place, strict=False))
    session = {**known.get("session_parameters", {}), **SESSION, "LOCK_TIMEOUT": max(1, int(wait_s))}
    return snowflake.connect(
        connection_name=name,
        paramstyle="qmark",
        autocommit=True,
        session_parameters=session,
        network_timeout=int(known.get("network_timeout", NETWORK_TIMEOUT_S)),
        log_imported_packages_in_telemetry=False,
        platform_detection_timeout_seconds=0.0,
        **asked,
    )


def _configured(name: str) -> dict[str, Any]:
    try:
        known = cast(Mapping[str, Any], CONFIG_MANAGER["connections"])
    except (errors.Error, ValueError) as error:  # the latter of the TOML itself, some of which it may quote
        reason = first_line(error) if isinstance(error, errors.Error) else "it is no TOML"
        raise PublishError(
            f"the Snowflake connector's configuration cannot be read: {reason}. Nothing was published. Correct its "
            "connections.toml or SNOWFLAKE_CONNECTIONS."
        ) from error
    if name not in known:
        raise PublishError(
            f"{VARIABLE} names the connection {name!r}, which the Snowflake connector's configuration does not know. "
            "Nothing was published. Describe it in connections.toml (below SNOWFLAKE_HOME or ~/.snowflake), or in "
            "SNOWFLAKE_CONNECTIONS."
        )
    return dict(known[name])


def translated(error: BaseException | None, *, location: str, consequence: str, wait_s: float) -> PublishError:
    """Return what an error of the connector means here; those after which the same command may do are retryable."""
    reason, number = first_line(error), getattr(error, "errno", None) or 0
    if number == TOO_MANY_WAIT or (getattr(error, "sqlstate", None) == CANCELED and "lock" in reason.lower()):
        return WarehouseLocked(location, holder="another transaction", waited_s=wait_s)
    if getattr(error, "sqlstate", None) == CANCELED:
        return WarehouseBusy(f"warehouse {location}: {reason}. {consequence} Run the same command again.")
    if number in HTTP_5XX or (isinstance(error, ANSWERS_LATER) and number in FROM_CONNECTOR):
        return WarehouseUnreachable(location, reason=reason)
    return PublishError(f"warehouse {location} failed: {reason}. {consequence}")


def first_line(error: BaseException | None) -> str:
    """Return what Snowflake or its connector said, in one line; of an error about a value, only its number.

    Such an error would quote the value.
    """
    number = getattr(error, "errno", None)
    if number in DATA_ERRORS:
        return f"a value does not fit its column (Snowflake's error {number})"
    said = getattr(error, "raw_msg", None) or str(error)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " ".join(lines[:2] if lines and lines[0].endswith(":") else lines[:1]).rstrip(".") or "no reason given"
