"""Files by path or URL: the local disk, and every store that pyarrow or fsspec can reach.

A URL is a scheme, an authority, a key, and optionally `?` with options of the store. Keys are taken as they are:
nothing is percent-decoded, because table formats write percent signs into names. Credentials come from the environment.
"""

import datetime as dt
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from lockstep.errors import FileUnreadable
from lockstep.storage.files import Location
from lockstep.storage.objects import ObjectPath
from lockstep.storage.stores import s3_endpoint

# The waits between them grow to 20 s: together some minutes.
S3_ATTEMPTS = 20
# Some seconds, where somebody waits at a terminal.
FIRST_LOOK_ATTEMPTS = 4
# Where fsspec's stores keep what tells versions of a file apart, and its time.
VERSION_KEYS = ("ETag", "etag", "md5Hash", "content_md5")
TIME_KEYS = ("mtime", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True)
class Place:
    """A file or folder in its file system."""

    filesystem: pafs.FileSystem
    path: str

    @property
    def is_local(self) -> bool:
        """Whether it is on a disk of this machine (or mounted as one)."""
        return isinstance(self.filesystem, pafs.LocalFileSystem)


@dataclass(frozen=True)
class FileFacts:
    """A file as it is now.

    Attributes:
        path: As `place` takes it.
        relative: Below the folder that was listed.
        version: An entity tag or the like; empty where the store has none.
    """

    path: str
    relative: str
    size_bytes: int
    mtime_ns: int
    version: str = ""


def is_url(path: str) -> bool:
    """Whether a path names a store by its scheme."""
    return "://" in path


def local_path(path: str) -> str:
    """Return a `file://` URL as a plain path, anything else as it is."""
    return path.removeprefix("file://") if path.startswith("file:///") else path


def place(path: str, *, root: Location | None = None, attempts: int = S3_ATTEMPTS) -> Place:
    """Find the file system of a path.

    Args:
        path: Absolute, relative to `root`, or a URL.
        root: Folder of relative paths.
        attempts: How often an object store that is away is asked, with growing waits between.

    Raises:
        FileUnreadable: No file system of this machine knows the URL.
    """
    path = local_path(path)
    if isinstance(root, ObjectPath) and not is_url(path):
        path = str(root / path)
    elif not is_url(path):
        return Place(_local(), str(root / path if root else Path(path).absolute()))
    scheme, _, rest = path.partition("://")
    rest, _, options = rest.partition("?")
    authority, _, key = rest.partition("/")
    try:
        uri = f"{scheme}://{authority}" + (f"?{options}" if options else "")
        filesystem, base = _filesystem(uri, attempts)
    except (OSError, ValueError, ImportError, NotImplementedError) as error:
        raise FileUnreadable(path, reason=f"no access to {scheme}://{authority}: {reason(error)}") from error
    return Place(filesystem, f"{base.rstrip('/')}/{key}" if key else base)


def reason(error: BaseException) -> str:
    """Return the first line of an error, without a full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


@functools.cache
def _local() -> pafs.FileSystem:
    return pafs.LocalFileSystem()


@functools.lru_cache(maxsize=16)
def _filesystem(uri: str, attempts: int) -> tuple[pafs.FileSystem, str]:
    scheme, _, bucket = uri.partition("://")
    if scheme == "s3" and "?" not in uri:
        return _s3(bucket, attempts), bucket
    try:
        filesystem, base = pafs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # not a scheme that pyarrow was built with
        import fsspec

        found, base = fsspec.core.url_to_fs(uri)
        filesystem = pafs.PyFileSystem(pafs.FSSpecHandler(found))
    return filesystem, str(base)


def _s3(bucket: str, attempts: int) -> pafs.FileSystem:
    """Return Arrow's own S3, which reads side by side, and goes on for as long as a store is away."""
    endpoint = s3_endpoint()
    options = {"endpoint_override": endpoint, "scheme": endpoint.partition("://")[0]} if endpoint else {}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region or not endpoint:
        options["region"] = region or pafs.resolve_s3_region(bucket)
    return pafs.S3FileSystem(retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=attempts), **options)


def list_files(
    path: str, *, root: Location | None = None, enter: Callable[[str], bool] = lambda _: True
) -> list[FileFacts]:
    """List a file, or the files below a folder in name order; hidden ones (`_`, `.`) are passed over.

    Args:
        path: As `place` takes it.
        root: Folder of relative paths.
        enter: Told the name of each folder; false leaves it out.

    Raises:
        FileUnreadable: Nothing is there, or it may not be read.
    """
    where = place(path, root=root)
    given = where.path if where.is_local else path
    try:
        [info] = where.filesystem.get_file_info([where.path])
        if info.type == pafs.FileType.NotFound:
            raise FileUnreadable(given, reason="there is no such file or folder")
        if info.type == pafs.FileType.File:
            return [_facts(where, info, given=given)]
        return list(_walk(where, where.path, given=given, enter=enter))
    except OSError as error:
        raise FileUnreadable(given, reason=reason(error)) from error


def _walk(where: Place, folder: str, *, given: str, enter: Callable[[str], bool]) -> Iterator[FileFacts]:
    infos = where.filesystem.get_file_info(pafs.FileSelector(folder))
    for info in sorted(infos, key=lambda info: info.base_name):
        if info.type == pafs.FileType.Directory:
            if not _is_hidden(info.base_name, folder=True) and enter(info.base_name):
                yield from _walk(where, info.path, given=given, enter=enter)
        elif not _is_hidden(info.base_name, folder=False):
            yield _facts(where, info, given=given)


def _is_hidden(name: str, *, folder: bool) -> bool:
    return name.startswith(".") or (name.startswith("_") and not (folder and "=" in name))


def _facts(where: Place, info: pafs.FileInfo, *, given: str) -> FileFacts:
    relative = info.path.removeprefix(where.path).strip("/")
    base, _, options = given.partition("?") if is_url(given) else (given, "", "")
    path = f"{base.rstrip('/')}/{relative}" if relative else base
    size, mtime_ns, version = _identity(where.filesystem, info)
    return FileFacts(f"{path}?{options}" if options else path, relative, size, mtime_ns, version)


def _identity(filesystem: pafs.FileSystem, info: pafs.FileInfo) -> tuple[int, int, str]:
    """Return size, time of change (ns; 0: unknown) and version of a file."""
    handler = getattr(filesystem, "handler", None)
    if not isinstance(handler, pafs.FSSpecHandler):
        return int(info.size), int(info.mtime_ns or 0), ""
    told: dict[str, Any] = handler.fs.info(info.path)
    version = next((str(told[key]) for key in VERSION_KEYS if told.get(key)), "")
    moment = next((told[key] for key in TIME_KEYS if told.get(key)), None)
    return int(told["size"]), _nanoseconds(moment), version


def _nanoseconds(moment: object) -> int:
    if isinstance(moment, dt.datetime):
        return int(moment.timestamp() * 1_000_000) * 1_000
    return int(moment * 1e9) if isinstance(moment, int | float) else 0


def identity_now(where: Place) -> tuple[int, int]:
    """Return size in bytes and time of change (ns; 0: unknown) of a file as it is now, or raise `OSError`."""
    [info] = where.filesystem.get_file_info([where.path])
    if info.type != pafs.FileType.File:
        raise FileNotFoundError("there is no such file")
    size, mtime_ns, _ = _identity(where.filesystem, info)
    return size, mtime_ns
