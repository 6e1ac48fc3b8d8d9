"""How a challenger's scores differ from the champion's, of the same rows (`comparison.json`)."""

import datetime as dt

from lockstep.run.plan import Record


class SegmentShift(Record):
    """The rows with one value of one column.

    Attributes:
        value: As text; none: null.
        champion_mean, challenger_mean: Of the rows that both have scored.
    """

    column: str
    value: str | None
    rows: int
    champion_mean: float
    challenger_mean: float

    @property
    def shift(self) -> float:
        """How much higher the challenger's mean is."""
        return self.challenger_mean - self.champion_mean


class Comparison(Record):
    """One challenger beside the champion, of one partition.

    Figures about differences are of the rows that both have scored; none when there are no such rows.

    Attributes:
        alias, version, digest: The challenger.
        champion_version, champion_digest: The champion.
        failure: Why the challenger has no whole result; empty: it has one.
        rows_in: Input rows of the partition.
        compared: Rows that both have scored.
        champion_bad, challenger_bad: Rows without a score.
        agreement: Share of compared rows whose scores differ by no more than `tolerance` (0..1).
        mean_difference: Challenger minus champion.
        max_difference: Largest absolute difference.
        psi: Population stability index of the challenger's scores against the champion's.
        champion_seconds, challenger_seconds: What scoring alone took, over all workers.
    """

    run_key: str
    partition: dt.date
    alias: str
    version: int
    digest: str
    champion_version: int
    champion_digest: str
    failure: str = ""
    rows_in: int
    compared: int = 0
    champion_bad: int = 0
    challenger_bad: int = 0
    tolerance: float
    agreement: float | None = None
    mean_difference: float | None = None
    max_difference: float | None = None
    psi: float | None = None
    champion_seconds: float | None = None
    challenger_seconds: float | None = None
    segments: tuple[SegmentShift, ...] = ()
