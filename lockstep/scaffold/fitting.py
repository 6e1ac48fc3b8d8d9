"""Does a table fit a model? All that does not, at once."""

import difflib
from collections.abc import Mapping

import pyarrow as pa

from lockstep.run.plan import ModelIdentity
from lockstep.scaffold.errors import InputUnfit, NameUnusable
from lockstep.scoring.signature import arrow_type, described, fits
from lockstep.specs.fields import IDENTIFIER


def require_fit(columns: Mapping[str, pa.DataType], model: ModelIdentity, *, table: str) -> None:
    """Check that a model can read a table and that its outputs can be published.

    Args:
        columns: Of the table.
        model: Whose signature counts.
        table: What to call the table.

    Raises:
        InputUnfit: Columns are missing or of another type; names all of them.
        NameUnusable: An output has a name that no published column can have.
    """
    problems = []
    for column in model.inputs:
        got = columns.get(column.name)
        if got is None and column.required:
            problems.append(f"{column.name}: expected {described(column)}, not there{_near(column.name, columns)}")
        elif got is not None and not fits(got, arrow_type(column)):
            problems.append(f"{column.name}: expected {described(column)}, got {got}{_remedy(got, arrow_type(column))}")
    if problems:
        raise InputUnfit(table, model=f"{model.name} version {model.version}", problems=problems)
    for output in model.outputs:
        if not IDENTIFIER.fullmatch(output.name):
            raise NameUnusable(output.name, where="output")


def _near(name: str, columns: Mapping[str, pa.DataType]) -> str:
    folded = {column.casefold(): column for column in columns}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.7)
    return f"; the table has {folded[close[0]]!r}" if close else ""


def _remedy(got: pa.DataType, wanted: pa.DataType) -> str:
    """Say what makes a column fit; nothing is cast silently where that could change a value."""
    if pa.types.is_decimal(got) and pa.types.is_floating(wanted):
        return " (CAST(... AS DOUBLE) where the table is made)"
    if pa.types.is_floating(got) and pa.types.is_integer(wanted):
        return " (a column of whole numbers with nulls is double in pandas: log the model with double)"
    if pa.types.is_float64(got) and pa.types.is_float32(wanted):
        return " (CAST(... AS FLOAT), or log the model with double)"
    return ""
