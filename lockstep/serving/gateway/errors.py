"""What can go wrong around a gateway's configuration, beside `SpecError`."""

from pathlib import Path

from lockstep.errors import EnvironmentFault


class OutputUnwritable(EnvironmentFault):
    """The configuration cannot be written."""

    code = "LS4025"

    def __init__(self, path: Path, *, reason: str) -> None:
        super().__init__(f"cannot write {path}: {reason}. Choose another folder with --output.")
