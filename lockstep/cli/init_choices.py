"""What `lockstep init` asks or is told beyond a model and a table: day, key, further columns; each checked at once."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from lockstep.scaffold.sampling import Sample
    from lockstep.scaffold.tables import FoundTable

# The day of a table without days, whose rows are all scored every time.
WHOLE_DAY = "scored_on"
DAY_OPTION = "--day COLUMN (a date, or a text as YYYY-MM-DD), or --whole to score all rows each time"


def choose_day(found: "FoundTable", *, given: str | None, whole: bool, asks: bool) -> str:
    """Return the column of the day: what was given, answered, or is the only one.

    Raises:
        ChoiceNeeded: Nothing says which, or the column can hold no day.
    """
    from lockstep.scaffold.choices import likely_day
    from lockstep.scaffold.errors import ChoiceNeeded

    if given is not None and whole:
        raise typer.BadParameter("give --day or --whole, not both")
    names = [day.name for day in found.days]
    if given is not None:
        if problem := _no_day(found, given):
            could = f"; {words(names)} could say it" if names else ""
            raise ChoiceNeeded("the column of the day", found=f"{problem}{could}", option=DAY_OPTION)
        return given
    if whole:
        return WHOLE_DAY
    likely = likely_day(found)
    if asks:
        shown = f"Column that says the day of a row ({words(names)}); - if the table has no days"
        answer = _asked(shown, likely.name if likely else "-", lambda text: "" if text == "-" else _no_day(found, text))
        return WHOLE_DAY if answer == "-" else answer
    if likely is not None:
        return likely.name
    times = f"; {words(found.times)} hold times, of which a day cannot be selected" if found.times else ""
    raise ChoiceNeeded(
        "the column of the day", found=f"{words(names)} could say the day of a row{times}", option=DAY_OPTION
    )


def _no_day(found: "FoundTable", name: str) -> str:
    """Say why a column cannot hold days; empty: it can."""
    import pyarrow as pa

    kind = found.columns.get(name)
    if kind is None:
        return f"there is no column {name!r}"
    if pa.types.is_timestamp(kind):
        return f"column {name!r} holds times ({kind}), of which a day cannot be selected"
    dated = pa.types.is_date(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return "" if dated else f"column {name!r} is of type {kind}, which holds no days"


def choose_key(
    keys: "list[tuple[str, ...]]",
    sample: "Sample",
    *,
    given: str | None,
    day: str,
    outputs: Sequence[str],
    asks: bool,
) -> tuple[str, ...]:
    """Return the columns that name a row of a day: what was given, answered, or guessed.

    Args:
        keys: Guesses, the likeliest first.
        sample: Rows that a key must tell apart.
        given: Names and commas.
        day: Column of the day, which is part of every key.
        outputs: Of the model; a column is published once.
        asks: Whether somebody can be asked.

    Raises:
        ChoiceNeeded: There is no guess, or the key does not tell the rows apart.
        ColumnMissing: A column is not there.
    """
    from lockstep.scaffold.errors import ChoiceNeeded

    keys = [key for key in keys if not set(key) & set(outputs)]
    guess = f"; {' or '.join(words(key) for key in keys)} would do" if keys else ""
    option = "--key COLUMN,COLUMN"
    if given is not None:
        named = tuple(name for name in listed(given, sample, option="--key") if name != day)
        if problem := _no_key(sample, named, outputs):
            raise ChoiceNeeded("another key", found=f"{problem}{guess}", option=option)
        return named
    if asks:
        shown = "Columns that name a row of a day, separated by commas"
        answer = _asked(shown, ",".join(keys[0]) if keys else None, lambda text: _no_key(sample, split(text), outputs))
        return tuple(name for name in split(answer) if name != day)
    if not keys:
        said = "no three columns without nulls tell the sampled rows apart (or there are rows twice)"
        raise ChoiceNeeded("the key", found=said, option=option)
    return keys[0]


def _no_key(sample: "Sample", names: Sequence[str], outputs: Sequence[str]) -> str:
    """Say why columns do not name a row; empty: they do, in the sample."""
    from lockstep.scaffold.choices import tells_apart

    rows = sample.rows
    for name in names:
        if name not in rows.column_names:
            return f"there is no column {name!r}"
        if name in outputs:
            return f"the model's output has the name {name!r} too"
        if rows.column(name).null_count:
            return f"column {name!r} is null in {rows.column(name).null_count:,} of {rows.num_rows:,} sampled rows"
    if not (tells_apart(rows, names) if names else rows.num_rows == 1):
        return f"{words(names)} and the day do not tell the {rows.num_rows:,} sampled rows of {sample.day} apart"
    return ""


def further_columns(
    text: str | None, sample: "Sample", *, key: Sequence[str], outputs: Sequence[str]
) -> tuple[str, ...]:
    """Return columns that are published too; the key is published anyway.

    Raises:
        ColumnMissing: One is not there.
        BadParameter: One has the name of an output.
    """
    named = [name for name in listed(text, sample, option="--passthrough") if name not in key]
    taken = [name for name in named if name in outputs]
    if taken:
        raise typer.BadParameter(f"the model's output has the name {taken[0]!r} too", param_hint="--passthrough")
    return tuple(named)


def listed(text: str | None, sample: "Sample", *, option: str) -> tuple[str, ...]:
    """Return the names of an option, each once.

    Raises:
        ColumnMissing: One is no column.
    """
    from lockstep.errors import ColumnMissing

    names = split(text or "")
    for each in names:
        if each not in sample.rows.column_names:
            raise ColumnMissing(each, where="the table", expected=f"as {option} names it", got=sample.rows.column_names)
    return names


def split(text: str) -> tuple[str, ...]:
    """Return names that are separated by commas, each once."""
    return tuple(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))


def words(names: Sequence[str]) -> str:
    """Return names as a person reads them."""
    return ", ".join(names) or "no column"


def _asked(shown: str, default: str | None, problem: Callable[[str], str]) -> str:
    """Ask until the answer has no problem."""

    def checked(text: str) -> str:
        if said := problem(text.strip()):
            raise typer.BadParameter(said)
        return text.strip()

    answer: str = typer.prompt(shown, default=default, value_proc=checked)
    return answer
