"""An identity provider's keys, fetched in the background: never while a request waits."""

import http.client
import logging
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from lockstep.serving.security.errors import KeySetInvalid
from lockstep.serving.security.key_sets import LARGEST_BYTES, KeySet, read_key_set
from lockstep.specs.serving_security import Jwt, is_loopback

COOLDOWN_S = 10.0
CHUNK_BYTES = 64 * 2**10
NEVER = float("-inf")

Fetch = Callable[[], bytes]

_log = logging.getLogger(__name__)


def fetch_document(url: str, *, timeout_s: float, ca: Path | None) -> bytes:
    """Fetch a small document. Redirects are not followed: they could lead where the configuration did not want to.

    Args:
        url: Checked when the configuration was read: https, or this machine.
        timeout_s: How long it may take as a whole.
        ca: Who vouches for the server instead of the system's authorities.

    Raises:
        OSError: It cannot be fetched (of `urllib` and `ssl` too).
        http.client.HTTPException: What comes is no HTTP.
        ValueError: It is too large or too slow.
    """
    deadline = time.monotonic() + timeout_s
    opener = urllib.request.OpenerDirector()
    local = is_loopback(urlsplit(url).hostname or "")
    for handler in (
        urllib.request.ProxyHandler({} if local else None),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca)),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(url, headers={"Accept": "application/json", "User-Agent": "lockstep"})  # noqa: S310
    parts, size = [], 0
    with opener.open(request, timeout=timeout_s) as response:
        while part := response.read1(CHUNK_BYTES):
            size += len(part)
            if size > LARGEST_BYTES:
                raise ValueError(f"it is larger than {LARGEST_BYTES} bytes")
            if time.monotonic() > deadline:
                raise ValueError(f"it did not arrive within {timeout_s:g} s")
            parts.append(part)
    return b"".join(parts)


class FetchedKeySet:
    """Keys from an address: fetched now and then, and soon after a token names a key that is not there.

    Args:
        config: Of the tokens.
        fetch: Gets the document.

    Attributes:
        current: The last good keys; none before the first, and when the provider was away for too long.
        problem: Why the last fetch failed; none: it did not.
    """

    def __init__(self, config: Jwt, *, fetch: Fetch) -> None:
        self.wake = threading.Event()
        self.current: KeySet | None = None
        self.problem: str | None = None
        self._config = config
        self._source = str(config.jwks_url).partition("?")[0]
        self._fetch = fetch
        self._wanted = True
        self._tried = self._succeeded = NEVER

    def miss(self) -> None:
        """Fetch soon, but not for every token that names nonsense."""
        if not self._wanted:
            self._wanted = True
            self.wake.set()

    def refresh(self, *, now: float) -> float:
        """Fetch if it is time to; see `Refreshed`."""
        pause_s = COOLDOWN_S if self._wanted or self.problem else self._config.refresh_s
        if now - self._tried < pause_s:
            return pause_s - (now - self._tried)
        self._tried, self._wanted = now, False
        try:
            found = read_key_set(self._fetch(), algorithms=self._config.algorithms, source=self._source)
        except (OSError, http.client.HTTPException, ValueError, KeySetInvalid) as error:
            self._failed(error, now=now)
            return COOLDOWN_S
        self._succeeded, self.problem = now, None
        if found != self.current:
            self.current = found
            _log.info("token keys of %s are in use", self._source)
        return self._config.refresh_s

    def _failed(self, error: Exception, *, now: float) -> None:
        age_s = now - self._succeeded
        if self.current is not None and age_s > self._config.max_age_s:
            self.current = None
        problem = str(error) if isinstance(error, KeySetInvalid) else f"{type(error).__name__}: {error}"
        if problem != self.problem:
            state = "no token can be checked" if self.current is None else "those fetched before stay in use"
            _log.error("token keys of %s cannot be fetched, %s: %s", self._source, state, problem)
        self.problem = problem


def fetched_key_set(config: Jwt, *, ca: Path | None) -> FetchedKeySet:
    """Return the keys of the configured address; the first fetch is its first `refresh`."""
    url = str(config.jwks_url)
    return FetchedKeySet(config, fetch=lambda: fetch_document(url, timeout_s=config.timeout_s, ca=ca))
