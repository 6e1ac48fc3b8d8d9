"""The machine: GPU, disk, memory, clock, processes, locale."""

import datetime as dt
import locale
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from lockstep.doctor.asking import NoAnswer
from lockstep.doctor.finding import Finding, ok, problem, warning
from lockstep.doctor.world import World
from lockstep.run.profiles import profile_names

GIB = 2**30
LITTLE_DISK, SOME_DISK = 1 * GIB, 5 * GIB
LITTLE_MEMORY, SOME_MEMORY = 1 * GIB, 4 * GIB
FORK = "import os\npid = os.fork()\nif not pid: os._exit(0)\nprint(os.waitpid(pid, 0)[1])"


def check_gpu(world: World) -> Iterator[Finding]:
    """Is there a GPU, where one is asked for?"""
    wanted = world.settings.device == "cuda" or "gpu" in profile_names(world.settings.spark_profile)
    try:
        answer = world.probe("gpu")
    except NoAnswer as error:
        tell = problem if wanted else warning
        yield tell("gpu", f"torch could not be asked: {error}", "look at the line of the data environment")
        return
    built = f"torch {answer['torch']}, CUDA {answer['cuda'] or 'none'}"
    if answer["gpus"]:
        yield ok("gpu", f"{', '.join(answer['gpus'])}; {built}")
    elif wanted:
        driver = "a driver is loaded" if Path("/proc/driver/nvidia").is_dir() else "no NVIDIA driver is loaded"
        yield problem(
            "gpu",
            f"none, and one is asked for; {driver}; {built}",
            "set LOCKSTEP_DEVICE=auto, or install the driver and torch for CUDA",
        )
    else:
        yield ok("gpu", f"none, and none is asked for; {built}")


def check_places(world: World) -> Iterator[Finding]:
    """May the state folders be written to, and have they room?"""
    where = world.settings
    places = {
        "home": where.home,
        "runs": where.runs_root,
        "cache": where.cache_root,
        "warehouse": Path(where.warehouses["duckdb"]).parent,
    }
    for name, place in places.items():
        if isinstance(place, Path):
            yield _place(name, place)


def _place(name: str, folder: Path) -> Finding:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    move = "free some, or set LOCKSTEP_HOME to another disk"
    if not there.is_dir():
        return problem("disk", f"{name} {folder}: {there} is a file", "remove it, or set another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        return problem(
            "disk",
            f"{name} {folder}: {there} may not be written to",
            f"give yourself the right, or {move.split(', or ')[1]}",
        )
    free = shutil.disk_usage(there).free
    told = f"{name} {folder}: {free / GIB:,.1f} GiB free"
    if free < LITTLE_DISK:
        return problem("disk", told, move)
    return warning("disk", told, move) if free < SOME_DISK else ok("disk", told)


def check_memory(world: World) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """Is there memory for Spark and a model?"""
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="utf-8").strip() if limit.is_file() else "max"
    size = min(size, int(text)) if text.isdigit() else size
    advice = "give this machine or container more, or lower spark.driver.memory in a profile"
    told = f"{size / GIB:,.1f} GiB in all"
    if size < LITTLE_MEMORY:
        yield problem("memory", told, advice)
    else:
        yield warning("memory", told, advice) if size < SOME_MEMORY else ok("memory", told)


def check_clock(world: World) -> Iterator[Finding]:
    """Is the time plausible, and are the time zones of the specs known?"""
    now, made = dt.datetime.now(dt.UTC), dt.datetime.fromtimestamp(Path(__file__).stat().st_mtime, dt.UTC)
    if now < made - dt.timedelta(days=1):
        yield problem(
            "clock",
            f"it is {now:%Y-%m-%d %H:%M} UTC here, before this code was installed ({made:%Y-%m-%d})",
            "set the clock",
        )
        return
    zones = sorted({one.spec.schedule.timezone for one in world.specs})
    for zone in zones:
        try:
            ZoneInfo(zone)
        except (OSError, ValueError, KeyError):
            yield problem("clock", f"time zone {zone} is not known here", "install tzdata")
    yield ok("clock", f"{now:%Y-%m-%d %H:%M} UTC; time zones of the specs: {', '.join(zones) or 'none'}")


def check_processes(world: World) -> Iterator[Finding]:
    """Can a process be started by a fork, as workers are?"""
    try:
        world.asking.ask([sys.executable, "-c", FORK])
    except NoAnswer as error:
        yield problem("processes", f"a fork failed: {error}", "raise the limit of processes (ulimit -u)")
    else:
        yield ok("processes", "a child was forked and ended")


def check_locale(world: World) -> Iterator[Finding]:
    """Is text UTF-8?"""
    encoding = locale.getpreferredencoding(do_setlocale=False).upper().replace("-", "")
    named = world.environ.get("LC_ALL") or world.environ.get("LC_CTYPE") or world.environ.get("LANG") or "not set"
    if encoding == "UTF8":
        yield ok("locale", f"UTF-8 (locale: {named})")
    else:
        yield warning("locale", f"text is {encoding} (locale: {named})", "export LANG=C.UTF-8")
