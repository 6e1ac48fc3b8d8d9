"""What may be wrong with the input of a run."""

from collections.abc import Sequence

from lockstep.errors.base import LockstepError
from lockstep.errors.suggestions import did_you_mean


class InputError(LockstepError):
    """The input of a run is wrong; nothing was scored."""

    code = "LS6001"


class DateInvalid(InputError):
    """A date on the command line or in a task cannot be used."""

    code = "LS6002"

    def __init__(
        self, text: str, *, problem: str, advice: str = "expected a day as YYYY-MM-DD, such as 2013-08-01"
    ) -> None:
        super().__init__(f"date {text!r} {problem}; {advice}")


class ModelChoiceInvalid(InputError):
    """What was asked for names no version of a model."""

    code = "LS6003"

    def __init__(self, text: str, *, problem: str = "names no model version") -> None:
        super().__init__(
            f"model {text!r} {problem}; expected an alias such as '@champion', a version such as '17', or "
            "'as-published', the version that made what is live of the day. Nothing was scored."
        )


class NothingPublished(InputError):
    """`as-published` was asked for, and the model made nothing that is live of the day."""

    code = "LS6004"

    def __init__(self, table: str, *, partition: str, model: str, made_by: str | None) -> None:
        found = "nothing of that day is live" if made_by is None else f"model {made_by!r} made it"
        super().__init__(
            f"'as-published' asks for the version of model {model!r} that made {partition} of {table}, and {found}. "
            "Nothing was scored. Ask for a version or an alias instead."
        )


class TableNotFound(InputError):
    """There is no table of the declared kind at the place."""

    code = "LS6005"

    def __init__(self, table: str, *, kind: str, reason: str) -> None:
        super().__init__(
            f"{table} is no {kind} table that can be read: {reason}. Nothing was scored. "
            "Check input.table in the spec, and that this machine may read there."
        )


class TableUnsupported(InputError):
    """The table is there, and has something that direct reading would get wrong."""

    code = "LS6006"

    def __init__(self, table: str, *, problem: str, advice: str) -> None:
        super().__init__(f"table {table} cannot be scored directly: {problem}. Nothing was scored. {advice}.")


class FileUnreadable(InputError):
    """A data file is gone, damaged, not Parquet, or not allowed to be read."""

    code = "LS6007"

    def __init__(self, path: str, *, reason: str) -> None:
        super().__init__(
            f"input file {path} cannot be read: {reason}; expected a Parquet file. "
            "Write the file again (or restore it, or allow reading it) and run the same command again."
        )


class PartitionNotFound(InputError):
    """The source has no such partition."""

    code = "LS6008"

    def __init__(self, source: str, *, path: str, partition: str, available: str) -> None:
        super().__init__(
            f"source {source!r} has no partition {partition} under {path}; available: {available}. "
            "Load that day first or choose another date."
        )


class EmptyPartition(InputError):
    """The partition exists and holds no row."""

    code = "LS6009"

    def __init__(self, source: str, *, path: str, partition: str) -> None:
        super().__init__(
            f"partition {partition} of {source!r} holds 0 rows ({path}); expected at least 1. "
            "Nothing was published and what was live stays. Load the day again; "
            "if a day may really be empty, set limits.min_rows: 0 in the spec."
        )


class ColumnMissing(InputError):
    """A column that the spec or the model needs is not there."""

    code = "LS6010"

    def __init__(self, column: str, *, where: str, expected: str, got: Sequence[str]) -> None:
        super().__init__(
            f"column {column!r} is missing in {where}; expected {expected}, got the columns {', '.join(got)}."
            f"{did_you_mean(column, got)} Nothing was published. Fix the source or the spec."
        )


class ColumnTypeMismatch(InputError):
    """A column has another type than the spec or the model declares."""

    code = "LS6011"

    def __init__(self, column: str, *, where: str, expected: str, got: str) -> None:
        super().__init__(
            f"column {column!r} in {where} has the wrong type: expected {expected}, got {got}. "
            "Nothing was published. Fix the source or the spec."
        )


class QueryFailed(InputError):
    """The feature query does not run."""

    code = "LS6012"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"the feature query {path} failed: {reason}")


class LabelsUnusable(InputError):
    """What the labels query gives cannot be compared with the scores."""

    code = "LS6013"

    def __init__(self, query: str, *, partition: str, problem: str, advice: str) -> None:
        super().__init__(
            f"labels of {partition}: the query {query} {problem}. The performance of that day was not measured, and "
            f"what was measured before stays. {advice}"
        )


class RowsUnreadable(InputError):
    """The live rows of a partition can be read neither from their run nor from the warehouse."""

    code = "LS6014"

    def __init__(self, table: str, *, partition: str, reason: str) -> None:
        super().__init__(
            f"the live rows of {partition} of {table} cannot be read: {reason}. Their performance was not measured. "
            "Score the day again, or leave it out."
        )


class InputChanged(InputError):
    """The source files are no longer those that the plan froze."""

    code = "LS6015"

    def __init__(self, partition: str, *, changed: int) -> None:
        super().__init__(
            f"the source data of partition {partition} changed after the run was planned ({changed} files differ). "
            "Nothing was scored. Run the same command again to plan with the data as it is now."
        )


class SourceFileChanged(InputChanged):
    """A data file is no longer the one whose units were planned."""

    code = "LS6016"

    def __init__(self, path: str, *, expected: str, got: str) -> None:
        InputError.__init__(
            self,
            f"input file {path} changed after the run was planned: expected {expected}, got {got}. "
            "Nothing was published. Run the same command again to plan with the data as it is now.",
        )


class DatabaseUnreachable(InputError):
    """The database of an input table does not answer, or broke off."""

    code = "LS6033"
    retryable = True

    def __init__(self, table: str, *, reason: str) -> None:
        super().__init__(
            f"the database of input table {table} does not answer: {reason}. Nothing was scored. "
            "Check input.table in the spec and the server; the same command may do when it answers."
        )
