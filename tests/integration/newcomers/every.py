"""All mistakes, by what they are about; and how all of them are made, side by side."""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from endpoints import serving
from newcomers import machines, models, serving_mistakes, specs, tables
from newcomers.commands import Commands, Outcome
from newcomers.mistake import Mistake, Place, copied
from world import World

from lockstep.serving.security.api_keys import entry_text, new_api_key

AREAS: dict[str, tuple[Mistake, ...]] = {
    "The model": models.MISTAKES,
    "The table": tables.MISTAKES,
    "The spec": specs.MISTAKES,
    "The machine": machines.MISTAKES,
    "The endpoint": serving_mistakes.MISTAKES,
}
SIDE_BY_SIDE = 3


@contextlib.contextmanager
def shared(base: World, scratch: Path) -> Iterator[tuple[str, int]]:
    """Give an endpoint that wants a key, which is in `key.txt` of the scratch folder, and a port that is taken."""
    key, entry = new_api_key("newcomer", models=["churn"])
    (base.home / "keys.yaml").write_text("keys:\n" + entry_text(entry))
    (scratch / "key.txt").write_text(key)
    config = base.home / "serving.yaml"
    config.write_text("models: [{spec: churn}]\nsecurity: {api_keys: keys.yaml}\n")
    with serving(base, "--config", str(config), spec=None) as endpoint, socket.create_server(("127.0.0.1", 0)) as taken:
        yield endpoint.url, taken.getsockname()[1]


def outcomes(base: World, scratch: Path, mistakes: tuple[Mistake, ...]) -> dict[str, Outcome]:
    """Make mistakes, each in a world of its own; return what came of each, by its title."""
    with shared(base, scratch) as (url, taken), Commands(base) as commands, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:

        def tried(mistake: Mistake) -> Outcome:
            home = scratch / mistake.key
            home.mkdir()
            return mistake.tried(Place(copied(base, home), url, taken, commands))

        # One waits for Spark: it begins first.
        order = sorted(mistakes, key=lambda one: one.command[:2] != ("run", "churn"))
        return dict(zip([one.title for one in order], pool.map(tried, order), strict=True))


def every() -> tuple[Mistake, ...]:
    """Return all mistakes."""
    return tuple(mistake for area in AREAS.values() for mistake in area)


def can_hide() -> bool:
    """Whether a mount namespace can be made here: root on Linux."""
    return shutil.which("unshare") is not None and not subprocess.call(["unshare", "--mount", "true"])
