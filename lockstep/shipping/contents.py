"""What goes into the archive of an environment: files, where they are from and where they lie in it."""

import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lockstep.errors import PackagingFailed

STDLIB = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
SITE_PACKAGES = f"{STDLIB}/site-packages"
# Of the standard library: what no job imports. The first two hold other packages.
NO_STDLIB = {"site-packages", "dist-packages", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3"}
# Of packages: their tests, and what only compilers read.
NO_FOLDERS = {"tests", "include", "__pycache__"}
NO_SUFFIXES = {".a", ".pyx", ".pxd", ".cpp", ".h", ".hpp", ".cu", ".cuh"}
NO_PREFIXES = ("mlflow/server/js/", "onnx/backend/test/", "torch/bin/protoc")


@dataclass(frozen=True)
class Entry:
    """One file of the archive.

    Attributes:
        target: Path in the archive.
        source: Where it is now.
    """

    target: str
    source: Path


def distributions(roots: Sequence[str], *, leave_out: Sequence[str] = ()) -> list[metadata.Distribution]:
    """Return the installed distributions that some need, themselves included, in order of name.

    Args:
        roots: Names, with extras if need be.
        leave_out: Names that are not taken, whoever asks for them.

    Raises:
        PackagingFailed: One is not installed.
    """
    extras: dict[str, set[str]] = {}
    found: dict[str, metadata.Distribution] = {}
    todo = [Requirement(root) for root in roots]
    left = {canonicalize_name(name) for name in leave_out}
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        known = extras.get(name)
        if name in left or (known is not None and wanted.extras <= known):
            continue
        extras[name] = (known or {""}) | wanted.extras
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError as error:
            problem, to_do = f"{name} is not installed in {sys.prefix}", "Run `make setup-data` and try again."
            raise PackagingFailed("the data environment", problem=problem, to_do=to_do) from error
        for text in found[name].requires or ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras[name]):
                todo.append(needed)
    return [found[name] for name in sorted(found)]


def check_pins(found: Sequence[metadata.Distribution], pins: dict[str, str]) -> None:
    """Refuse distributions that are not those of the lock.

    Raises:
        PackagingFailed: A version differs, or the lock does not know one.
    """
    differ = []
    for one in found:
        name = canonicalize_name(one.metadata["Name"])
        if pins.get(name) != one.version.partition("+")[0] and not name.startswith(("nvidia-", "cuda-", "triton")):
            differ.append(f"{name} is {one.version}, locked is {pins.get(name, 'none')}")
    if differ:
        problem = f"it is not what requirements/data.lock says: {'; '.join(differ)}"
        raise PackagingFailed("the data environment", problem=problem, to_do="Run `make setup-data` and try again.")


def distribution_entries(one: metadata.Distribution) -> Iterator[Entry]:
    """Yield the files of a distribution below site-packages, with the compiled form of its modules."""
    for file in one.files or ():
        path = PurePosixPath(file)
        if not is_needed(path):
            continue
        source = Path(str(one.locate_file(file)))
        if source.is_file():
            yield Entry(f"{SITE_PACKAGES}/{path}", source)
            yield from _compiled(source, f"{SITE_PACKAGES}/{path.parent}/__pycache__")


def is_needed(path: PurePosixPath) -> bool:
    """Whether a file below site-packages (`..` is another place) is of use to a job."""
    return not (
        path.parts[0] == ".."
        or NO_FOLDERS & set(path.parts[:-1])
        or path.suffix in NO_SUFFIXES
        or str(path).startswith(NO_PREFIXES)
    )


def interpreter_entries() -> Iterator[Entry]:
    """Yield the base interpreter and its standard library.

    Raises:
        PackagingFailed: This machine is no Linux, whose interpreters alone can be moved like this.
    """
    if sys.platform != "linux":
        problem = f"interpreters of {sys.platform} cannot be moved to the machines of a cluster"
        to_do = "Run `lockstep package` on a Linux machine of the executors' kind (or in their image)."
        raise PackagingFailed("the interpreter", problem=problem, to_do=to_do)
    program = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    yield Entry(f"bin/python{sys.version_info.major}.{sys.version_info.minor}", program)
    library = sysconfig.get_config_var("INSTSONAME")
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        shared = Path(str(sysconfig.get_config_var("LIBDIR"))) / str(library)
        if shared.is_file():  # Debian's programs hold it
            yield Entry(f"lib/{library}", shared)
    stdlib = Path(os.__file__).parent
    for folder, names, files in os.walk(stdlib):
        here = Path(folder)
        names[:] = [name for name in names if not _left_out(here, name, stdlib)]
        for file in files:
            if (here / file).is_file():
                yield Entry(f"{STDLIB}/{(here / file).relative_to(stdlib).as_posix()}", here / file)


def _left_out(folder: Path, name: str, stdlib: Path) -> bool:
    return (folder == stdlib and (name in NO_STDLIB or name.startswith("config-"))) or name in {"test", "tests"}


def _compiled(source: Path, target: str) -> Iterator[Entry]:
    if source.suffix == ".py":
        compiled = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        if compiled.is_file():
            yield Entry(f"{target}/{compiled.name}", compiled)
