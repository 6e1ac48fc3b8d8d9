"""Paths in object stores, with the part of pathlib's interface that run folders need.

Objects are read and written by obstore (Apache's object_store), which retries what a store refuses for a while, uploads
large files in parts and creates objects conditionally. What goes wrong is an `OSError`, as with files.
"""

import contextlib
import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lockstep.storage.stores import store, store_errors

# Objects that one request removes: as many as S3 takes.
AT_ONCE = 1000
WILD = frozenset("*?[")


@dataclass(frozen=True)
class Facts:
    """What a store knows of an object; names are those of `os.stat_result`."""

    st_size: int
    st_mtime_ns: int

    @property
    def st_mtime(self) -> float:
        """Time of the last change, in seconds since the epoch."""
        return self.st_mtime_ns / 1e9


@dataclass(frozen=True, order=True)
class ObjectPath:
    """An object, or a folder of them, which exists as long as something lies in it.

    Attributes:
        root: Scheme and bucket or container, such as `s3://bucket`.
        key: Below it, without slashes at the ends.
    """

    root: str
    key: str

    @classmethod
    def parse(cls, url: str) -> "ObjectPath":
        """Read a URL such as `s3://bucket/folder`; raises `ValueError` if it has `..`, which stores do not know."""
        scheme, _, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        return cls(f"{scheme}://{bucket}", _joined(key))

    def __str__(self) -> str:
        return f"{self.root}/{self.key}" if self.key else self.root

    def __truediv__(self, part: str | PurePosixPath) -> "ObjectPath":
        return self.joinpath(str(part))

    def joinpath(self, *parts: str) -> "ObjectPath":
        """Return a path below this one; raises `ValueError` at `..`."""
        return ObjectPath(self.root, _joined(self.key, *parts))

    def relative_to(self, other: "ObjectPath") -> PurePosixPath:
        """Return this path as seen from a folder above it; raises `ValueError` if it is not below."""
        if self.root != other.root:
            raise ValueError(f"{self} is not below {other}")
        return PurePosixPath(self.key).relative_to(PurePosixPath(other.key))

    @property
    def parts(self) -> tuple[str, ...]:
        """Bucket, then each part of the key."""
        return (self.root, *PurePosixPath(self.key).parts)

    @property
    def parent(self) -> "ObjectPath":
        """Folder around this."""
        return ObjectPath(self.root, self.key.rpartition("/")[0])

    @property
    def parents(self) -> Sequence["ObjectPath"]:
        """All folders around this, the nearest first and the bucket last."""
        parts = self.key.split("/") if self.key else []
        keys = (parts[:end] for end in reversed(range(len(parts))))
        return [ObjectPath(self.root, "/".join(key)) for key in keys]

    @property
    def name(self) -> str:
        """Last part."""
        return self.key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """Last part without its suffix."""
        return PurePosixPath(self.key).stem

    @property
    def suffix(self) -> str:
        """Suffix of the last part, with its dot."""
        return PurePosixPath(self.key).suffix

    def stat(self) -> Facts:
        """Return size and time of an object, or raise `FileNotFoundError`."""
        import obstore

        with store_errors(str(self)):
            return _facts(obstore.head(store(self.root), self.key))

    def is_file(self) -> bool:
        """Whether there is such an object."""
        if not self.key:  # stores answer that there is a bucket
            return False
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether something lies below."""
        return next(self._below(), None) is not None

    def exists(self) -> bool:
        """Whether it is an object or a folder."""
        return self.is_file() or self.is_dir()

    def read_bytes(self) -> bytes:
        """Return what is in the object, or raise `FileNotFoundError`."""
        import obstore

        with store_errors(str(self)):
            return bytes(obstore.get(store(self.root), self.key).bytes())

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return what is in the object, as text."""
        return self.read_bytes().decode(encoding)

    def put(self, data: bytes | Path) -> None:
        """Write the object, in place of what is there, from bytes or from a local file; large ones go in parts."""
        import obstore

        with store_errors(str(self), of_bucket=True):
            obstore.put(store(self.root), self.key, data)

    def replace(self, data: Path) -> None:
        """Write the object from a local file in place of the one that is there, in one request.

        Whether it is there is asked when the last byte has come: what somebody removed meanwhile does not come back.

        Raises:
            FileNotFoundError: It is not there, or no longer.
        """
        import obstore
        from obstore.exceptions import PreconditionError

        with store_errors(str(self)):
            known = obstore.head(store(self.root), self.key)
            try:
                obstore.put(store(self.root), self.key, data, mode={"e_tag": known["e_tag"] or ""})
            except PreconditionError:
                raise FileNotFoundError(self.key) from None

    def copy(self, target: "ObjectPath") -> None:
        """Write another object of the same bucket from this one; its bytes do not come here.

        Raises:
            FileNotFoundError: It is not there.
        """
        import obstore

        with store_errors(str(self)):
            obstore.copy(store(self.root), self.key, target.key)

    def create(self, data: bytes) -> bool:
        """Write the object if there is none; whether we did.

        A request whose answer was lost is repeated, and then finds the object that it made itself: so it is ours if it
        says what we say. `data` should therefore name its writer.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        while True:
            with store_errors(str(self), of_bucket=True), contextlib.suppress(AlreadyExistsError, PreconditionError):
                obstore.put(store(self.root), self.key, data, mode="create")
                return True
            with contextlib.suppress(FileNotFoundError):  # it was there, and is removed again
                return self.read_bytes() == data

    def download(self, target: Path) -> None:
        """Write the object to a local file."""
        import obstore

        with target.open("wb") as stream, store_errors(str(self)):
            for chunk in obstore.get(store(self.root), self.key).stream():
                stream.write(chunk)

    def unlink(self, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - as pathlib has it
        """Remove the object; most stores do not say whether it was there."""
        import obstore

        with store_errors(str(self)):
            try:
                obstore.delete(store(self.root), self.key)
            except FileNotFoundError:
                if not missing_ok:
                    raise

    def remove_tree(self) -> None:
        """Remove all that lies below."""
        import obstore

        paths = [path for path, _ in self._below()]
        for first in range(0, len(paths), AT_ONCE):
            some = paths[first : first + AT_ONCE]
            try:
                with store_errors(str(self)):
                    obstore.delete(store(self.root), [path.key for path in some])
            except FileNotFoundError:  # somebody else removes it as well
                for path in some:
                    path.unlink(missing_ok=True)

    def files_below(self) -> Iterator[tuple[str, Facts]]:
        """Return the objects below with their paths as seen from here, in the order of their names."""
        start = len(self.key) + 1 if self.key else 0
        for path, facts in self._below():
            yield path.key[start:], facts

    def rglob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Return the objects below whose name fits."""
        return (path for path, _ in self._below() if fnmatch.fnmatchcase(path.name, pattern))

    def iterdir(self) -> Iterator["ObjectPath"]:
        """Return objects and folders directly below."""
        return self.glob("*")

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Return objects and folders below that fit a pattern, part by part; `**` is not understood."""
        first, _, rest = pattern.partition("/")
        if not WILD & set(first):
            found = self / first
            if rest:
                yield from found.glob(rest)
            elif found.exists():
                yield found
            return
        for child in self._children():
            if fnmatch.fnmatchcase(child.name, first):
                if rest:
                    yield from child.glob(rest)
                else:
                    yield child

    def _children(self) -> list["ObjectPath"]:
        import obstore

        with store_errors(str(self), of_bucket=True):
            found = obstore.list_with_delimiter(store(self.root), self.key)
        keys = {*found["common_prefixes"], *(each["path"] for each in found["objects"])}
        return sorted(ObjectPath(self.root, key.strip("/")) for key in keys if key.strip("/") != self.key)

    def _below(self) -> Iterator[tuple["ObjectPath", Facts]]:
        import obstore

        with store_errors(str(self), of_bucket=True):
            for batch in obstore.list(store(self.root), self.key or None):
                for each in sorted(batch, key=lambda one: one["path"]):
                    if each["path"].strip("/") != self.key:  # a mark by which consoles show an empty folder
                        yield ObjectPath(self.root, each["path"]), _facts(each)


def _joined(*keys: str) -> str:
    """Return one key, without the parts that mean nothing on a disk."""
    parts = [part for key in keys for part in key.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ValueError("a path without ..")
    return "/".join(parts)


def _facts(meta: Any) -> Facts:
    return Facts(int(meta["size"]), int(meta["last_modified"].timestamp() * 1_000_000) * 1_000)
