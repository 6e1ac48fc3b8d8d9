"""What may be wrong with how this package is installed: no repository, no library, two versions."""

from lockstep.errors.stages import EnvironmentFault


class CheckoutNeeded(EnvironmentFault):
    """The command works in the repository only."""

    code = "LS4041"

    def __init__(self, command: str, *, project: str, instead: str) -> None:
        super().__init__(
            f"`{command}` needs the repository with its locks and environments; this is an installed package, and "
            f"{project} is no checkout. Run it in a checkout, or name one in LOCKSTEP_PROJECT. {instead}"
        )


class LibraryMissing(EnvironmentFault):
    """A library is not installed in the environment that a command runs in."""

    code = "LS4042"

    def __init__(self, module: str, *, extra: str, environment: str) -> None:
        super().__init__(
            f"the module {module} is not installed in {environment}. Use the environment that has it, or install it "
            f"there: {environment}/bin/python -m pip install 'lockstep[{extra}]'"
        )


class VersionsDiffer(EnvironmentFault):
    """Two environments of one installation have different versions of this package."""

    code = "LS4043"

    def __init__(self, *, here: str, environment: str, caller: str) -> None:
        super().__init__(
            f"lockstep {caller} has started lockstep {here} of {environment}; both must be of one version. Install it "
            f"there: {environment}/bin/python -m pip install 'lockstep=={caller}', then restart what called. Nothing "
            "was done."
        )
