"""Compare what Spark staged for one partition with what a running endpoint answers for the same rows, bit for bit."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lockstep.run.plan import ModelIdentity
from lockstep.scoring.signature import described
from lockstep.serving.batch_scores import BatchScores, Key
from lockstep.serving.client import EndpointClient, Reply, ServedVersion
from lockstep.serving.errors import EndpointUnavailable, ModelsDiffer, OutputNotComparable

SHOWN_DIFFERENCES = 5
ASKED_QUARANTINED = 100
NOT_NUMBERS = {"string", "datetime", "binary"}


@dataclass(frozen=True)
class Pass:
    """One way to send all rows."""

    encoding: str
    rows_per_request: int
    shuffled: bool


# Requests of one row, of part of a block, of one block, of many; each in file order and shuffled, in both protocols.
SIZES = (1, 7, 64, 1000)
MLFLOW_ENCODINGS = ("dataframe_split", "dataframe_records", "inputs", "instances")
PASSES = tuple(
    Pass(encoding, size, shuffled)
    for shuffled, mlflow in ((False, MLFLOW_ENCODINGS), (True, MLFLOW_ENCODINGS[::-1]))
    for size, name in zip(SIZES, mlflow, strict=True)
    for encoding in (name, "tensors")
)


@dataclass(frozen=True)
class Difference:
    """A row for which the endpoint gave another answer than the batch."""

    key: Key
    batch: float | None
    endpoint: float | None
    sent: Pass
    error: str = ""


@dataclass
class ParityReport:
    """The outcome of a comparison; `answers` counts every row of every pass."""

    rows: int
    quarantined: int
    model: ServedVersion
    endpoint: ServedVersion
    url: str
    answers: int = 0
    requests: int = 0
    differing: set[int] = field(default_factory=set)
    max_abs_difference: float = 0.0
    examples: list[Difference] = field(default_factory=list)
    quarantined_asked: int = 0
    seconds: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether every answer equals the batch in every bit."""
        return not self.differing

    def to_json(self) -> dict[str, Any]:
        """Return the report for machines."""
        return {
            "equal": self.equal,
            "rows": self.rows,
            "quarantined_rows": self.quarantined,
            "quarantined_rows_asked": self.quarantined_asked,
            "answers_compared": self.answers,
            "requests": self.requests,
            "differing_rows": len(self.differing),
            "max_abs_difference": self.max_abs_difference,
            "batch_model": vars(self.model),
            "endpoint_model": vars(self.endpoint),
            "url": self.url,
            "examples": [{**vars(example), "sent": vars(example.sent)} for example in self.examples],
            "seconds": round(self.seconds, 3),
        }


def require_comparable(model: ModelIdentity) -> None:
    """Raise `OutputNotComparable` unless the model's first output is one number for each row."""
    output = model.outputs[0]
    if output.shape is not None or output.dtype in NOT_NUMBERS:
        raise OutputNotComparable(f"{model.name} version {model.version}", output=output.name, kind=described(output))


def compare(
    batch: BatchScores,
    client: EndpointClient,
    *,
    url: str,
    passes: Sequence[Pass] = PASSES,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ParityReport:
    """Send every row in every way and compare the answers with the batch.

    Args:
        batch: The partition.
        client: Of the endpoint at `url`.
        url: For the report.
        passes: Ways to send the rows.
        progress: Told answers so far and in total.

    Raises:
        ModelsDiffer: The endpoint serves another model than the batch used.
        EndpointUnavailable: It does not answer.
    """
    clock = time.monotonic()
    model = ServedVersion(batch.model.name, str(batch.model.version), batch.model.digest)
    served = client.served()
    if served.digest != model.digest:
        raise ModelsDiffer(batch=str(model), endpoint=str(served))
    report = ParityReport(len(batch.keys), len(batch.quarantined), model, served, url)
    columns = {name: batch.features.column(name).to_pylist() for name in batch.features.column_names}
    scored = [int(row) for row in np.flatnonzero(~np.isnan(batch.scores))]
    for number, sent in enumerate(passes):
        for rows in _requests(scored, sent, seed=number):
            reply = _ask(client, columns, rows, encoding=sent.encoding)
            _check(batch, report, rows, reply=reply, sent=sent, url=url)
            progress(report.answers, len(scored) * len(passes))
    _ask_quarantined(batch, client, columns, report=report)
    report.seconds = time.monotonic() - clock
    return report


def _requests(rows: Sequence[int], sent: Pass, *, seed: int) -> Iterator[Sequence[int]]:
    order = list(rows)
    if sent.shuffled:
        random.Random(seed).shuffle(order)
    for start in range(0, len(order), sent.rows_per_request):
        yield order[start : start + sent.rows_per_request]


def _ask(client: EndpointClient, columns: dict[str, list[Any]], rows: Sequence[int], *, encoding: str) -> Reply:
    return client.score({name: [values[row] for row in rows] for name, values in columns.items()}, encoding=encoding)


def _check(
    batch: BatchScores, report: ParityReport, rows: Sequence[int], *, reply: Reply, sent: Pass, url: str
) -> None:
    if reply.digest != batch.model.digest and not reply.error:
        raise ModelsDiffer(batch=batch.model.digest, endpoint=reply.digest or "unknown")
    if not reply.error and len(reply.scores) != len(rows):
        raise EndpointUnavailable(url, problem=f"gave {len(reply.scores)} scores for {len(rows)} rows")
    expected = batch.scores[list(rows)]
    got = np.array(reply.scores, dtype=np.float64) if not reply.error else np.full(len(rows), np.nan)
    report.requests += 1
    report.answers += len(rows)
    differs = expected.view(np.int64) != got.view(np.int64)
    for place in map(int, np.flatnonzero(differs)):
        answer = None if reply.error else float(got[place])
        difference = Difference(batch.keys[rows[place]], float(expected[place]), answer, sent, reply.error)
        _note(report, rows[place], difference)


def _note(report: ParityReport, row: int, difference: Difference) -> None:
    if row not in report.differing and len(report.examples) < SHOWN_DIFFERENCES:
        report.examples.append(difference)
    report.differing.add(row)
    if difference.batch is not None and difference.endpoint is not None:
        distance = abs(difference.batch - difference.endpoint)
        report.max_abs_difference = max(report.max_abs_difference, distance)


def _ask_quarantined(
    batch: BatchScores, client: EndpointClient, columns: dict[str, list[Any]], *, report: ParityReport
) -> None:
    """Ask for quarantined rows one by one: the endpoint must have no score for them either."""
    for row in batch.quarantined[:ASKED_QUARANTINED]:
        sent = Pass("tensors", 1, shuffled=False)
        reply = _ask(client, columns, [row], encoding=sent.encoding)
        report.requests += 1
        report.quarantined_asked += 1
        if not reply.error:
            _note(report, row, Difference(batch.keys[row], None, reply.scores[0], sent))
