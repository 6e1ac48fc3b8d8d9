"""The errors index: what each code means, why it happens and what to do; the same texts as in docs/errors.md."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

PREFIX = "LS"
# By the first digit of a code; most often also the exit code of a command that ends with it.
FAMILIES = {
    "1": "Answers of the endpoint",
    "3": "Spec and settings",
    "4": "Environment",
    "5": "Model registry",
    "6": "Input",
    "7": "Checks and trials",
    "8": "Publication",
    "9": "Steps",
}


@dataclass(frozen=True)
class Entry:
    """What the index says of one class of errors.

    Attributes:
        code: Of the class, for good.
        error: `module:Class`.
        summary: In one line.
        cause: Why it happens.
        example: A message of the class.
        remedy: What to do.
        exit: Exit codes of a command that ends with it; empty: none does.
        answers: Statuses of the endpoint; empty: it does not answer with it.
        see: Page of docs/; empty: none says more.
    """

    code: str
    error: str
    summary: str
    cause: str
    example: str
    remedy: str
    exit: str = ""
    answers: str = ""
    see: str = ""

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.error.partition(":")[2]

    @property
    def family(self) -> str:
        """The family's name."""
        return FAMILIES[self.code[len(PREFIX)]]


@dataclass(frozen=True)
class ErrorsIndex:
    """All entries, by code.

    Attributes:
        entries: In the order of their codes.
        retired: Codes that no class has any more, each with what became of it; never given to another class.
    """

    entries: dict[str, Entry]
    retired: dict[str, str]

    def find(self, text: str) -> Entry | None:
        """Return the entry of a code, in any case and with or without its letters, or of a class; none: unknown."""
        wanted = text.strip().upper()
        if found := self.entries.get(wanted) or self.entries.get(f"{PREFIX}{wanted}"):
            return found
        return next((entry for entry in self.entries.values() if entry.name.upper() == wanted), None)


@cache
def errors_index() -> ErrorsIndex:
    """Read the index that is installed with this package."""
    content = yaml.safe_load((files("lockstep.errors") / "index.yaml").read_text(encoding="utf-8"))
    entries = {code: Entry(code=code, **facts) for code, facts in content["errors"].items()}
    return ErrorsIndex(entries, content["retired"])
