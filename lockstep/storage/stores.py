"""Which object stores there are, how they are reached and for how long they may be away."""

import contextlib
import datetime as dt
import errno
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from obstore.store import ObjectStore

# Stores that can create an object only if it is not there, by the scheme of their URLs.
SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "azure", "abfs", "abfss", "adl")
# A store may be away for minutes (throttling, a failover): a night's work outlasts that. Waits are drawn between the
# first one and `base` times the last one, so that they hardly grow with a base of 2.
RETRIES: Any = {
    "max_retries": 1_000,
    "backoff": {"init_backoff": dt.timedelta(seconds=0.1), "max_backoff": dt.timedelta(seconds=8), "base": 3},
    "retry_timeout": dt.timedelta(minutes=5),
}
REQUEST_TIMEOUT_S, CONNECT_TIMEOUT_S = "120s", "10s"
S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
ADDRESS = re.compile(r"https?://\S+")
LONGEST = 300


@functools.lru_cache(maxsize=16)
def store(root: str) -> "ObjectStore":
    """Return the store of a bucket, with credentials of the platform's chain: environment, files, machine roles.

    Raises:
        OSError: The bucket, or what the environment says of the store, is not understood.
    """
    import obstore.store

    scheme = root.partition("://")[0]
    options: dict[str, Any] = {"timeout": REQUEST_TIMEOUT_S, "connect_timeout": CONNECT_TIMEOUT_S}
    more: dict[str, Any] = {"client_options": options, "retry_config": RETRIES}
    if scheme in {"s3", "s3a"}:
        endpoint = s3_endpoint()
        options["allow_http"] = endpoint.startswith("http://")  # nobody else is asked in the clear
        if endpoint:
            more["endpoint"] = endpoint
        if _has_aws_profile():
            from obstore.auth.boto3 import Boto3CredentialProvider

            more["credential_provider"] = Boto3CredentialProvider()
    with store_errors(root):
        opened: ObjectStore = obstore.store.from_url(root, **more)
    return opened


def s3_endpoint() -> str:
    """Return the address of an S3-compatible store that the environment names; empty: Amazon's own."""
    return next((os.environ[name] for name in S3_ENDPOINTS if os.environ.get(name)), "")


def _has_aws_profile() -> bool:
    """Whether credentials are to come from a profile, which object_store does not read."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return False
    file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", Path.home() / ".aws" / "credentials"))
    return bool(os.environ.get("AWS_PROFILE")) or file.is_file()


@contextlib.contextmanager
def store_errors(path: str) -> Iterator[None]:
    """Turn errors of the store into `OSError`s of one line that names the object and no request."""
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError as error:
        what = "there is no such bucket" if "NoSuchBucket" in str(error) else "there is no such object"
        raise FileNotFoundError(errno.ENOENT, what, path) from None
    except BaseError as error:
        raise OSError(errno.EIO, _said(error), path) from None


def _said(error: Exception) -> str:
    """Return the first line of an error without the address, whose query may hold a signature."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ADDRESS.sub("the store", first).partition("<?xml")[0].strip().rstrip(":")[:LONGEST]
