"""Micro-batches of the toy model, scored by a real Scorer."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from lockstep.scoring.scorer import Scorer
from lockstep.serving.inference_log.layout import Layout, logged_columns
from lockstep.serving.rows import PlainRows, merged, to_batch
from lockstep.serving.trace import Trace
from lockstep.serving.work import Scored, Share, Work
from lockstep.specs.inference_log_spec import Policy
from tests.unit.serving.toy import BLOCK_ROWS, IDENTITY, SIGNATURE, ToyBackend

SCORER = Scorer(ToyBackend(), SIGNATURE, block_rows=BLOCK_ROWS)
NOON = dt.datetime(2013, 8, 1, 12)  # noqa: DTZ001 - the model knows no zones
CARRIERS = ("UA", "AA", None, "é", "YY")  # the last has no finite score


def layout(
    policies: dict[str, Policy] | None = None, *, personal: dict[str, Policy] | None = None, version: int = 3
) -> Layout:
    inputs, outputs = logged_columns(SIGNATURE.inputs, SIGNATURE.outputs, policies or {}, unlisted="keep")
    return Layout(
        model_name=IDENTITY.name,
        model_version=version,
        model_digest=IDENTITY.digest,
        precision="float32",
        device="cpu",
        block_rows=BLOCK_ROWS,
        sample=1.0,
        inputs=inputs,
        outputs=outputs,
        personal=personal or {},
    )


def row(number: int) -> dict[str, Any]:
    return {
        "carrier": CARRIERS[number % len(CARRIERS)],
        "distance": None if number % 7 == 3 else number * 0.1,
        "rate": number * 0.5,
        "seats": number % 300,
        "flight": 10**12 + number,
        "wet": number % 2 == 0,
        "at": None if number % 11 == 5 else NOON + dt.timedelta(seconds=number),
        "note": None if number % 3 else f"note {number}",
    }


def rows(first: int, count: int) -> PlainRows:
    """Rows number `first` and on; each says its number in the column `flight`."""
    made = [row(number) for number in range(first, first + count)]
    return PlainRows(tuple([each[name] for each in made] for name in SIGNATURE.names), count, 100 * count)


def trace(name: str, **known: Any) -> Trace:
    return Trace(name, edge="invocations", model=IDENTITY.name, version=str(IDENTITY.version), **known)


def micro_batch(requests: Sequence[tuple[Any, int, int]], *, plain: bool = True) -> Scored:
    """Score parts of requests together: label, first row, rows. They stay plain values, or are a batch of Arrow."""
    shares = [
        Share(Work(rows(0, start + count), None, 0, 0, 0, label), start, count)  # type: ignore[arg-type]
        for label, start, count in requests
    ]
    together = merged([rows(start, count) for _, start, count in requests], SIGNATURE)
    batch = to_batch([together], SIGNATURE)
    return Scored(shares, together if plain else batch, SCORER.score(batch), 0.001, SIGNATURE)
