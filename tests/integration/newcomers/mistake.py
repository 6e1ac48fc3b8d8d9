"""A mistake: how it is made, and what must come of it; and how it is made for real."""

import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from newcomers.commands import Commands, Outcome, environ_of
from world import World

SITE_PACKAGES = Path(sys.prefix) / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"


@dataclass(frozen=True)
class Place:
    """A world of its own, in which a mistake is made, and what all mistakes share.

    Attributes:
        world: Folders.
        endpoint: URL of an endpoint that wants an API key.
        taken: A port that another program listens on.
        commands: Runs commands.
    """

    world: World
    endpoint: str
    taken: int
    commands: Commands

    @property
    def home(self) -> Path:
        """Where all its files are."""
        return self.world.home

    def change(self, file: str, old: str, new: str) -> None:
        """Change a text in a file below `models/`; it must be there."""
        path = self.home / "models" / file
        text = path.read_text()
        assert old in text, (file, old)
        path.write_text(text.replace(old, new))


@dataclass(frozen=True)
class Mistake:
    """One thing that a newcomer does wrong.

    Attributes:
        title: What it is, for a heading.
        command: What is typed after `lockstep`; `{home}`, `{endpoint}` and `{taken}` are filled in.
        code: Exit code.
        error: Code of the error; empty where the command line is refused before anything is looked at, or where the
            answer is no error but a list of findings.
        names: What the message must name, so that a stranger can go on.
        make: Makes the mistake in a place.
        env: Further variables.
        hide: Shell commands of root in a mount namespace of its own, before the command; only there can a machine
            lack what this one has.
        act: Makes and answers it by itself, where one command is not enough.
    """

    title: str
    command: tuple[str, ...]
    code: int
    error: str
    names: tuple[str, ...]
    make: Callable[[Place], None] = lambda _: None
    env: Mapping[str, str] = field(default_factory=dict)
    hide: tuple[str, ...] = ()
    act: Callable[["Mistake", Place], Outcome] | None = None

    @property
    def key(self) -> str:
        """A name for a test."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")

    def filled(self, text: str, place: Place) -> str:
        """Return a text with what is of the place."""
        told = {"home": place.home, "endpoint": place.endpoint, "taken": place.taken, "site": SITE_PACKAGES}
        for name, value in told.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    def typed(self, place: Place) -> list[str]:
        """Return what is typed after `lockstep`."""
        return [self.filled(word, place) for word in self.command]

    def environ(self, place: Place) -> dict[str, str]:
        """Return the environment of the command."""
        own = {name: self.filled(value, place) for name, value in self.env.items()}
        return {**environ_of(place.world), **own}

    def tried(self, place: Place) -> Outcome:
        """Make the mistake, and return what came of it."""
        self.make(place)
        if self.act is not None:
            return self.act(self, place)
        hide = [self.filled(step, place) for step in self.hide]
        return place.commands.run(self.typed(place), self.environ(place), hide=hide)


def copied(base: World, home: Path) -> World:
    """Return a copy of a world over the same registry; its artifacts and its cache are shared."""
    for part in ("data", "models"):
        shutil.copytree(base.home / part, home / part)
    (home / "mlflow").mkdir()
    shutil.copyfile(base.home / "mlflow" / "mlflow.db", home / "mlflow" / "mlflow.db")
    (home / "cache").symlink_to(base.home / "cache")
    return World(home)
