"""Are the Python environments there, and do they have what their locks say?"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import lockstep
from lockstep.doctor.asking import NoAnswer
from lockstep.doctor.finding import Finding, ok, problem, warning
from lockstep.doctor.world import NAMES, World

CHECK = "environments"
SHOWN = 5
ASK = """\
import json, platform, importlib.metadata as m
print(json.dumps({"python": platform.python_version(),
  "packages": {d.metadata["Name"]: d.version for d in m.distributions() if d.metadata["Name"]}}))
"""


def check_environments(world: World) -> Iterator[Finding]:
    """Compare each environment with its lock; without a checkout, look at the one that this runs in."""
    if not world.is_checkout:
        yield ok(CHECK, f"no checkout, so no locks to compare with: Python {sys.version.split()[0]} of {sys.prefix}")
        for name in ("control", "data"):
            yield from _other(world, name)
        return
    for name in NAMES:
        yield _environment(world, name)


def _other(world: World, name: str) -> Iterator[Finding]:
    """Compare the version of this package in another environment with the one that runs here."""
    python, variable = world.python(name), f"LOCKSTEP_{name.upper()}_PYTHON"
    if python.parent == Path(sys.executable).parent:
        return
    try:
        packages = world.asking.ask([str(python), "-c", ASK])["packages"]
    except NoAnswer as error:
        yield problem(CHECK, f"{name}: {python}: {error}", f"correct {variable}")
        return
    found = packages.get("lockstep", "missing")
    if found != lockstep.__version__:
        advice = f"{python} -m pip install 'lockstep[{name}]=={lockstep.__version__}'; both must be of one version"
        yield problem(CHECK, f"{name}: lockstep {found} in {python}, and {lockstep.__version__} here", advice)
    else:
        yield ok(CHECK, f"{name}: lockstep {found} in {python}, as here")


def _environment(world: World, name: str) -> Finding:
    python, make = world.python(name), f"run `make setup-{name}`"
    if not python.is_file():
        return problem(CHECK, f"{name}: {python} does not exist", make)
    try:
        answer = world.asking.ask([str(python), "-c", ASK])
    except NoAnswer as error:
        return problem(CHECK, f"{name}: {python}: {error}", f"remove {python.parent.parent} and {make}")
    version = str(answer["python"])
    if not version.startswith("3.11."):
        return problem(CHECK, f"{name}: Python {version}; Lockstep needs 3.11", make)
    lock = world.settings.project_root / "requirements" / f"{name}.lock"
    if not lock.is_file():
        return warning(CHECK, f"{name}: Python {version}, and {lock} does not exist", "restore it from the repository")
    pins = pins_of(lock)
    differing = differences(pins, answer["packages"])
    if differing:
        more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        told = f"{', '.join(differing[:SHOWN])}{more}"
        return problem(CHECK, f"{name}: {len(differing)} of {len(pins)} packages are not the lock's: {told}", make)
    return ok(CHECK, f"{name}: Python {version}, {len(pins)} packages as in its lock")


def pins_of(lock: Path) -> dict[str, str]:
    """Return the version of each package in a lock, by its plain name."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    found = (re.match(r"([\w.-]+)(?:\[[^]]*])?==([^\s;]+)", line) for line in lines)
    return {_plain(match[1]): match[2] for match in found if match}


def differences(pins: Mapping[str, str], packages: Mapping[str, str]) -> list[str]:
    """Return a text for each package that is missing or of another version; local parts such as +cpu do not count."""
    installed = {_plain(name): version.partition("+")[0] for name, version in packages.items()}
    return [
        f"{name} {installed.get(name, 'missing')} (lock: {version})"
        for name, version in pins.items()
        if installed.get(name) != version.partition("+")[0]
    ]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
