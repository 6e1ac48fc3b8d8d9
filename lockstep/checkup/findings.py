"""What a check-up found, part by part."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lockstep.errors import LockstepError
from lockstep.run.exit_codes import exit_code

State = Literal["ok", "warning", "problem", "skipped"]
CHECKS_FAILED = 7


@dataclass(frozen=True)
class Finding:
    """What one part of a check-up found.

    Attributes:
        part: Which.
        state: Whether a run would go well; `skipped`: it was not looked at.
        text: What was seen.
        to_do: What to do about it; empty: nothing.
        code: Exit code that a run would end with.
        facts: Figures for machines.
    """

    part: str
    state: State
    text: str
    to_do: str = ""
    code: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_error(cls, part: str, error: LockstepError) -> "Finding":
        """Return the problem that an error tells, which says itself what to do."""
        return cls(part, "problem", str(error), code=exit_code(error), facts={"error": type(error).__name__})

    def to_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {"part": self.part, "state": self.state, "text": self.text, "to_do": self.to_do, **self.facts}


def worst(findings: Sequence[Finding]) -> int:
    """Return the exit code of a check-up: that of its first problem; 0: there is none."""
    first = next((each for each in findings if each.state == "problem"), None)
    return 0 if first is None else first.code
