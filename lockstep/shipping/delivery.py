"""Archives to where executors get them: a folder or a store of objects. What is there already is not made again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs
from filelock import FileLock

from lockstep.errors import PackagingFailed
from lockstep.run.shipping import code_name, environment_name
from lockstep.scoring.storage import is_url, place, reason
from lockstep.shipping.code import build_code
from lockstep.shipping.environment import build_environment
from lockstep.specs.settings import Settings

COPY_BYTES = 8 << 20


@dataclass(frozen=True)
class Delivered:
    """An archive that is in its place.

    Attributes:
        path: Path or URL.
        made: Whether it was made now; else it was there.
    """

    path: str
    size_bytes: int
    made: bool


def deliver(settings: Settings, output: str, *, driver: bool, tell: Callable[[str], None]) -> list[Delivered]:
    """Make the archives of this lock and this code, unless they are there.

    Args:
        settings: Where the project is.
        output: Folder or URL.
        driver: Make the environment that a driver inside the cluster needs as well.
        tell: Told what is being made.

    Raises:
        PackagingFailed: One cannot be made, or not be written there.
        FileUnreadable: No file system of this machine knows the URL.
    """

    def environment(target: Path) -> None:
        tell("packing the environment; that takes a minute or two")
        build_environment(settings, target, driver=driver)

    def code(target: Path) -> None:
        tell("building the wheel of the code")
        build_code(settings, target)

    wanted = {environment_name(settings, driver=driver): environment, code_name(settings): code}
    return [_delivered(settings, f"{output.rstrip('/')}/{name}", make) for name, make in wanted.items()]


def _delivered(settings: Settings, path: str, make: Callable[[Path], None]) -> Delivered:
    path = path if is_url(path) else str(Path(path).absolute())
    where, name = place(path), path.rpartition("/")[2]
    try:
        [there] = where.filesystem.get_file_info([where.path])
        if there.type == pafs.FileType.File:
            return Delivered(path, int(there.size), made=False)
        # What goes to a store stays here too, for the next one.
        local = Path(where.path) if where.is_local else settings.home / "shipping" / name
        local.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(local.with_name(f".{name}.lock")):
            if not local.is_file():
                make(local)
        if not where.is_local:
            _upload(local, where.filesystem, where.path)
        return Delivered(path, local.stat().st_size, made=True)
    except OSError as error:
        to_do = "Check that the folder or bucket is there, its rights and its space, and run the same command again."
        raise PackagingFailed(path, problem=reason(error), to_do=to_do) from error


def _upload(local: Path, filesystem: pafs.FileSystem, path: str) -> None:
    """Copy a file into a store, where it appears when it is whole."""
    with local.open("rb") as source, filesystem.open_output_stream(path) as target:
        while chunk := source.read(COPY_BYTES):
            target.write(chunk)
