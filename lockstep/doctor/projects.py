"""Settings, specs and Java: what a command needs before it touches anything."""

from collections.abc import Iterator
from pathlib import Path

from lockstep.doctor.finding import Finding, ok, problem, warning
from lockstep.doctor.world import World
from lockstep.errors import JavaNotFound
from lockstep.errors.suggestions import nearest
from lockstep.run.java import find_java_home, probe, site_packages
from lockstep.specs.variables import BY_NAME, OF_THE_PROCESS, ONLINE_STORE, PREFIX

SURE = 0.7


def check_settings(world: World) -> Iterator[Finding]:
    """Is each variable, and each key of the settings file, valid?"""
    for mistake in world.mistakes:
        yield problem("settings", mistake, "correct it; docs/deployment.md lists all settings")
    for name in sorted(world.environ):
        known = name in BY_NAME or name in OF_THE_PROCESS or name.startswith(ONLINE_STORE)
        meant = None if known or not name.startswith(PREFIX) else _meant(name)
        if meant is not None:
            yield warning("settings", f"{name} is no setting", f"did you mean {meant}?")
    if not world.mistakes:
        of_file = f", {len(world.layers.file)} of {world.layers.path}" if world.layers.path else ""
        yield ok("settings", f"valid{of_file}; state in {world.settings.home}")


def _meant(name: str) -> str | None:
    short = name.removeprefix(PREFIX)
    known = [one.removeprefix(PREFIX) for one in (*BY_NAME, *OF_THE_PROCESS) if one.startswith(PREFIX)]
    found = nearest(short, known, cutoff=SURE)
    return None if found is None else PREFIX + found


def check_specs(world: World) -> Iterator[Finding]:
    """Is each spec valid?"""
    for file, reason in world.bad_specs.items():
        yield problem("specs", f"{file}: {reason}", "correct it; `lockstep spec validate` names every mistake")
    root = world.settings.models_root
    if not root.is_dir():
        yield problem("specs", f"{root} does not exist", "set LOCKSTEP_MODELS to the folder of the specs")
    elif world.specs:
        names = ", ".join(one.spec.name for one in world.specs)
        yield ok("specs", f"{len(world.specs)} valid below {root}: {names}")
    elif not world.bad_specs:
        yield warning("specs", f"none below {root}", "write one (README.md), or set LOCKSTEP_MODELS")


def check_java(world: World) -> Iterator[Finding]:
    """Which Java will Spark use?"""
    roots = site_packages(world.python("data"))
    try:
        home = find_java_home(world.environ, cache_root=world.settings.cache_root, package_roots=roots)
    except JavaNotFound as error:
        lines = str(error).splitlines()
        tried = "; ".join(line.strip() for line in lines[1:-1])
        yield problem("java", f"none that Spark can use. Tried: {tried}", lines[-1].split(", then")[0])
        return
    yield ok("java", f"Java {probe(Path(home) / 'bin' / 'java').version or 'unknown'} of {home}")
