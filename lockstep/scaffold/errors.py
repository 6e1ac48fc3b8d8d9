"""What may keep a spec from being begun."""

from collections.abc import Sequence

from lockstep.errors import InputError, LockstepError, SpecError


class SpecExists(SpecError):
    """There is something at the place of a new spec."""

    code = "LS3008"

    def __init__(self, folder: str) -> None:
        self.path = folder
        self.problems = ("it exists",)
        LockstepError.__init__(
            self,
            f"{folder} exists already, and init changes nothing that is there; "
            "give another name with --name, or move that folder away.",
        )


class FolderUnwritable(SpecError):
    """The folder of a new spec cannot be written."""

    code = "LS3009"

    def __init__(self, folder: str, *, reason: str) -> None:
        self.path = folder
        self.problems = (reason,)
        LockstepError.__init__(
            self,
            f"{folder} cannot be written: {reason}. Nothing was left there; "
            "allow writing, or name another folder of specs by LOCKSTEP_MODELS.",
        )


class ChoiceNeeded(InputError):
    """Something must be chosen that neither the model nor the table says."""

    code = "LS6029"

    def __init__(self, what: str, *, found: str, option: str) -> None:
        super().__init__(f"{what} must be named: {found}. Give {option}. Nothing was written.")


class InputUnfit(InputError):
    """The columns of a table do not fit the signature of a model; all problems at once."""

    code = "LS6030"

    def __init__(self, table: str, *, model: str, problems: Sequence[str]) -> None:
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"table {table} does not fit the signature of {model}:\n{listed}\n"
            "Nothing was written. Rename or cast the columns where the table is made, score the result of a query "
            "instead (input.query, docs/input.md), or log the model with the signature of this table."
        )


class NameUnusable(InputError):
    """A column has a name that cannot be published."""

    code = "LS6031"

    def __init__(self, name: str, *, where: str) -> None:
        super().__init__(
            f"{where} {name!r} cannot be a column of a published table: names are letters, digits and underscores, "
            "not starting with a digit. Rename it (for an output: in the model's signature). Nothing was written."
        )


class NothingScored(InputError):
    """A model gave no score for any row that it was tried on."""

    code = "LS6032"

    def __init__(self, model: str, *, rows: int, reason: str) -> None:
        super().__init__(
            f"{model} gave none of {rows:,} rows a score: {reason}. Nothing was written. "
            "Try `mlflow models predict` on the same rows: a model that fails there fails here."
        )
