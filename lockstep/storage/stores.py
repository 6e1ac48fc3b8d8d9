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

from lockstep.errors import StoreUnusable

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
# By which object_store proves who we are without a machine's role.
AWS_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
# A query may hold a signature, wherever it is.
ADDRESS = re.compile(r"https?://\S+|\S*\b(sig|signature|x-amz-\w+)=\S*", re.IGNORECASE)
# Of obstore, and of Arrow.
DENIED = re.compile(r"status code: 40[13]\b|lacked (the necessary privileges|valid authentication)|Error ACCESS_DENIED")
REFUSED = "it refuses access: the credentials are wrong, or may not do this"
NO_BUCKET, NO_OBJECT = "there is no such bucket", "there is no such object"
NO_CREDENTIALS = "there are no credentials"
NO_SUCH_BUCKET = "NoSuchBucket"  # of S3
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
    with store_errors(root):
        if scheme in {"s3", "s3a"}:
            endpoint = s3_endpoint()
            options["allow_http"] = endpoint.startswith("http://")  # nobody else is asked in the clear
            more |= {"endpoint": endpoint} if endpoint else {}
            more |= _aws_credentials(root)
        opened: ObjectStore = obstore.store.from_url(root, **more)
    return opened


def s3_endpoint() -> str:
    """Return the address of an S3-compatible store that the environment names; empty: Amazon's own."""
    return next((os.environ[name] for name in S3_ENDPOINTS if os.environ.get(name)), "")


def _aws_credentials(root: str) -> dict[str, Any]:
    """Return who proves who we are; a profile is boto3's, since object_store reads none."""
    if has_aws_profile():
        try:
            from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]
            from obstore.auth.boto3 import Boto3CredentialProvider
        except ImportError:
            raise StoreUnusable(errno.EACCES, "profiles need the package boto3, which is not here", root) from None
        try:
            return {"credential_provider": Boto3CredentialProvider()}
        except (BotoCoreError, ValueError) as error:
            said = str(error) if isinstance(error, BotoCoreError) else "the profile has none"
            raise StoreUnusable(errno.EACCES, f"{NO_CREDENTIALS}: {said.splitlines()[0]}", root) from None
    asked = os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true"
    if not asked and not any(os.environ.get(name) for name in AWS_CREDENTIALS):
        raise StoreUnusable(errno.EACCES, f"{NO_CREDENTIALS}: no key, no profile and no role", root)
    return {}


def has_aws_profile() -> bool:
    """Whether a profile says who we are, and no key of the environment."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return False
    file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", Path.home() / ".aws" / "credentials"))
    return bool(os.environ.get("AWS_PROFILE")) or file.is_file()


@contextlib.contextmanager
def store_errors(path: str, *, of_bucket: bool = False) -> Iterator[None]:
    """Turn errors of the store into `OSError`s of one line that names the object and no request.

    Args:
        path: What is asked for.
        of_bucket: Something is written or listed, so that only the bucket can be missing.

    Raises:
        FileNotFoundError: There is no such object.
        StoreUnusable: Anything else.
    """
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except FileNotFoundError as error:
        if of_bucket or NO_SUCH_BUCKET in str(error):
            raise StoreUnusable(errno.ENODEV, NO_BUCKET, path) from None
        raise FileNotFoundError(errno.ENOENT, NO_OBJECT, path) from None
    except (PermissionDeniedError, UnauthenticatedError):
        raise StoreUnusable(errno.EACCES, REFUSED, path) from None
    except BaseError as error:
        raise StoreUnusable(errno.EIO, plain(str(error) or type(error).__name__, of_bucket=of_bucket), path) from None


def plain(said: str, *, of_bucket: bool = False) -> str:
    """Return what a library says of a store, in one line without the address, whose query may hold a signature.

    Args:
        said: What it says.
        of_bucket: Something was written or listed, so that only the bucket can be missing.
    """
    first = (said.strip().splitlines() or ["no reason given"])[0]
    if DENIED.search(first):  # answers to listings are not told apart by their class
        return REFUSED
    if NO_SUCH_BUCKET in said or (of_bucket and "404 Not Found" in first):
        return NO_BUCKET
    return ADDRESS.sub("the store", first).partition("<?xml")[0].strip().rstrip(":")[:LONGEST]
