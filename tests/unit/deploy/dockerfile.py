"""Reads Dockerfiles: stages, instructions, and which files of the repository end up where."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "deploy" / "images"
Files = dict[str, str]


@dataclass(frozen=True)
class Instruction:
    """One instruction: `COPY --from=build a b` has the keyword COPY, a flag and two arguments."""

    keyword: str
    flags: dict[str, str]
    rest: str

    @property
    def words(self) -> list[str]:
        """What follows the flags, as a list, in JSON or not."""
        return json.loads(self.rest) if self.rest.startswith("[") else self.rest.split()


@dataclass
class Stage:
    """From one FROM to the next."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def all_of(self, keyword: str) -> list[Instruction]:
        """The instructions of a kind."""
        return [each for each in self.instructions if each.keyword == keyword]


@dataclass
class Dockerfile:
    """A file; `stages` by name, a stage without one has its place as name."""

    path: Path
    arguments: dict[str, str]
    stages: dict[str, Stage]

    def line_of(self, target: str) -> list[Stage]:
        """The stages that a target is made on, the first of them on an image from elsewhere."""
        stage = self.stages[target]
        return [*(self.line_of(stage.base) if stage.base in self.stages else []), stage]

    def last(self, target: str, keyword: str) -> Instruction | None:
        """The instruction of a kind that counts."""
        found = [each for stage in self.line_of(target) for each in stage.all_of(keyword)]
        return found[-1] if found else None

    def values(self, target: str, keyword: str) -> dict[str, str]:
        """All of `ENV` or `LABEL`."""
        pattern = re.compile(r"([\w.]+)=(?:\"([^\"]*)\"|(\S*))")
        texts = [each.rest for stage in self.line_of(target) for each in stage.all_of(keyword)]
        return {name: quoted or plain for text in texts for name, quoted, plain in pattern.findall(text)}

    def files(self, target: str) -> Files:
        """Absolute path in the image → path in the repository, of all that is copied from it."""
        found: Files = {}
        for stage in self.line_of(target):
            folder = PurePosixPath("/")
            for each in stage.instructions:
                if each.keyword == "WORKDIR":
                    folder /= each.rest
                if each.keyword == "COPY":
                    found |= self._copied(each, folder)
        return found

    def _copied(self, copy: Instruction, folder: PurePosixPath) -> Files:
        *sources, to = copy.words
        if source := copy.flags.get("from"):
            (prefix,) = sources
            return {to + path.removeprefix(prefix): file for path, file in self.files(source).items()}
        found: Files = {}
        for name in sources:
            for file in sent(name):
                inside = file.removeprefix(name).lstrip("/")
                place = (
                    folder / to / inside
                    if inside
                    else folder / to / (PurePosixPath(name).name if to[-1] == "/" else "")
                )
                found[str(place)] = file
        return found


def read(path: Path) -> Dockerfile:
    """Read a Dockerfile without heredocs."""
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    for each in instructions(path.read_text(encoding="utf-8")):
        if each.keyword == "FROM":
            base, *named = each.rest.split()
            base = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match.group(1)], base)
            stage = Stage(named[1] if named else str(len(stages)), base)
            stages[stage.name] = stage
        elif not stages:
            assert each.keyword == "ARG"
            name, _, value = each.rest.partition("=")
            arguments[name] = value
        else:
            [*stages.values()][-1].instructions.append(each)
    return Dockerfile(path, arguments, stages)


def instructions(text: str) -> Iterator[Instruction]:
    """The instructions of a text."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for logical in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if logical.strip():
            keyword, _, rest = logical.partition(" ")
            flags: dict[str, str] = {}
            while match := re.match(r"\s*--([\w-]+)=(\S+)\s*", rest):
                flags[match.group(1)] = match.group(2)
                rest = rest[match.end() :]
            yield Instruction(keyword, flags, rest.strip())


def sent(name: str) -> list[str]:
    """The files of the repository that a build is sent, at or below a path."""
    return [file for file in context() if file == name or file.startswith(f"{name}/")]


@cache
def context() -> tuple[str, ...]:
    """What `.dockerignore` lets through, of the files that git knows or would add."""
    patterns = [
        line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
    ]
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    known = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return tuple(file for file in sorted({*known} - {""}) if (ROOT / file).is_file() and not ignored(file, patterns))


def ignored(file: str, patterns: list[str]) -> bool:
    """Whether Docker leaves a file out: the last pattern that fits it, or a folder that it is in, counts."""
    places = [file, *(str(parent) for parent in PurePosixPath(file).parents)][:-1]
    verdict = False
    for pattern in patterns:
        plain = pattern.removeprefix("!")
        if any(_fits(place, plain) for place in places):
            verdict = not pattern.startswith("!")
    return verdict


def _fits(place: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(place.rpartition("/")[2], pattern.removeprefix("**/"))
    return place.count("/") == pattern.count("/") and fnmatch(place, pattern)
