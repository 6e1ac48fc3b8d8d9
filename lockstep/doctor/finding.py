"""What a check found, for people and for machines."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["ok", "warning", "problem"]


class Finding(BaseModel):
    """One line of the doctor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    check: str = Field(description="Name of the check, as `lockstep doctor NAME` takes it.")
    state: State = Field(description="ok; warning: works, and may not be meant; problem: something will fail.")
    found: str = Field(description="What was found, without secrets.")
    advice: str = Field("", description="What to do; empty when it is ok.")


class Diagnosis(BaseModel):
    """What `lockstep doctor --json` prints; keys are added, never renamed or removed, within a format."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = Field(1, description="Of this document.")
    version: str = Field(description="Of lockstep.")
    healthy: bool = Field(description="Whether there is no problem; then the exit code is 0, else 4.")
    findings: list[Finding]


def ok(check: str, found: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(check=check, state="ok", found=found)


def warning(check: str, found: str, advice: str) -> Finding:
    """Return that something works, and may not be meant so."""
    return Finding(check=check, state="warning", found=found, advice=advice)


def problem(check: str, found: str, advice: str) -> Finding:
    """Return that something will fail."""
    return Finding(check=check, state="problem", found=found, advice=advice)
