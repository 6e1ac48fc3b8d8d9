"""Append a key to a file of keys, which a running endpoint may be following."""

import contextlib
import fcntl
import os
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

from lockstep.errors import SpecError
from lockstep.serving.security.api_keys import entry_text
from lockstep.serving.security.errors import SecurityFileInvalid
from lockstep.serving.security.reloading import read_file
from lockstep.specs.loading import validate
from lockstep.specs.serving_security import ApiKeyEntry, ApiKeyFile

OWNER_ONLY = 0o600
# How the items of its list may be written.
INDENTS = ("", "  ", "    ")


def append_key(path: Path, entry: ApiKeyEntry) -> None:
    """Append an entry; who reads the file meanwhile sees the old one or the new one. What else is in it stays.

    Args:
        path: Made, readable by its owner only, when it is not there.
        entry: From `new_api_key`.

    Raises:
        SecurityFileInvalid: It is no file of keys, does not end with its list, or cannot be written.
    """
    path = path.resolve()
    try:
        with _locked(path.parent):
            if path.exists():
                _extend(path, entry)
            else:
                with _beside(path, "keys:\n" + entry_text(entry)) as made:
                    made.replace(path)
    except OSError as error:
        problem = f"it cannot be written: {error.strerror or type(error).__name__}"
        raise SecurityFileInvalid(path, [problem], advice="Check the path and its permissions") from error


def _extend(path: Path, entry: ApiKeyEntry) -> None:
    before = read_file(path).decode(errors="replace")
    try:
        keys = validate(ApiKeyFile, path).keys
    except SpecError as error:
        raise SecurityFileInvalid(path, error.problems) from error
    text = before if before.endswith("\n") else before + "\n"
    for indent in INDENTS:
        with _beside(path, text + textwrap.indent(entry_text(entry), indent)) as made:
            if _keys_of(made) == (*keys, entry):
                facts = path.stat()
                os.chown(made, facts.st_uid, facts.st_gid)
                made.chmod(facts.st_mode)
                made.replace(path)
                return
    problem = "an entry cannot be appended: it does not end with the items of 'keys', each on lines of its own"
    raise SecurityFileInvalid(path, [problem], advice="Write it so, or paste the entry without --file")


def _keys_of(path: Path) -> tuple[ApiKeyEntry, ...] | None:
    try:
        return validate(ApiKeyFile, path).keys
    except SpecError:
        return None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep others that append out; the file itself is replaced, so its folder is locked."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _beside(path: Path, text: str) -> Iterator[Path]:
    """Write a file beside another, to take its place; it is gone afterwards if it did not."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    made = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(descriptor, OWNER_ONLY)
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        yield made
    finally:
        made.unlink(missing_ok=True)
