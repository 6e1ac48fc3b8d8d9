"""Fills in features of a request: all sources at once, each within its share of the time."""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lockstep.serving.features.deadlines import shared_deadline
from lockstep.serving.features.errors import FeatureSourceInvalid, FeatureSourceUnavailable
from lockstep.serving.features.policy import Enrichment, UsedFeature, judge, rejections
from lockstep.serving.features.source import FeatureSource, Fetched, Keys, rows_of
from lockstep.specs.features_spec import FeaturePolicy

Values = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class BoundSource:
    """A source, and what of it a model needs.

    Attributes:
        keys: Key column of the source to column of the request.
        features: Input of the model to feature of the source.
        share: Share of the request's remaining time that it may take (0..1).
    """

    source: FeatureSource
    keys: Mapping[str, str]
    features: Mapping[str, FeaturePolicy]
    share: float = 0.3


async def enrich(bound: Sequence[BoundSource], columns: Values, *, deadline: float, now: dt.datetime) -> Enrichment:
    """Look up the features of a request and apply their policies.

    Args:
        bound: Sources; they are asked at the same time.
        columns: Columns of the request, among them those that the keys are made of, all of one length.
        deadline: When the request must be answered, by the event loop's clock.
        now: Present time, from which ages are counted.

    Raises:
        FeatureSourceInvalid: A source is configured in a way that cannot work; it is no fault of the request.
    """
    rows = rows_of(columns)
    answers = await asyncio.gather(*(_ask(one, columns, deadline=deadline) for one in bound))
    for answer in answers:
        if answer.misfit is not None:
            raise answer.misfit
    features: dict[str, UsedFeature] = {}
    for one, answer in zip(bound, answers, strict=True):
        for name, policy in one.features.items():
            features[name] = judge(answer.fetched, policy, source=one.source.name, rows=rows, now=now)
    return Enrichment(
        rows=rows,
        features=features,
        rejected=rejections(features),
        failures={one.source.name: a.failure for one, a in zip(bound, answers, strict=True) if a.failure},
        seconds={one.source.name: answer.seconds for one, answer in zip(bound, answers, strict=True)},
    )


@dataclass(frozen=True)
class _Answer:
    fetched: Fetched | None
    seconds: float
    failure: str = ""
    misfit: FeatureSourceInvalid | None = None


async def _ask(bound: BoundSource, columns: Values, *, deadline: float) -> _Answer:
    clock = asyncio.get_running_loop().time
    began = clock()
    names = list(dict.fromkeys(policy.feature for policy in bound.features.values()))
    try:
        keys, places = _distinct(bound, columns)
        own = shared_deadline(deadline, bound.share, now=began)
        fetched = await bound.source.get(keys, names, deadline=own)
    except FeatureSourceUnavailable as error:
        return _Answer(None, clock() - began, failure=error.reason)
    except FeatureSourceInvalid as error:  # told when the other sources have ended
        return _Answer(None, clock() - began, misfit=error)
    return _Answer(_spread(fetched, places), clock() - began)


def _distinct(bound: BoundSource, columns: Values) -> tuple[Keys, list[int | None]]:
    """Return each key once, and for each row its place among them; none: a part of its key is null."""
    missing = [column for column in bound.keys.values() if column not in columns]
    if missing:
        problem = f"its keys are made of the columns {', '.join(missing)}, which the request does not have"
        raise FeatureSourceInvalid(bound.source.name, problem=problem)
    known: dict[tuple[Any, ...], int] = {}
    places: list[int | None] = []
    for key in zip(*(columns[column] for column in bound.keys.values()), strict=True):
        # True and 1 are equal, and not the same key.
        typed = tuple((type(part), part) for part in key)
        places.append(None if None in key else known.setdefault(typed, len(known)))
    distinct = list(known)
    return {name: [key[place][1] for key in distinct] for place, name in enumerate(bound.keys)}, places


def _spread(fetched: Fetched, places: Sequence[int | None]) -> Fetched:
    """Return what was found for each key as what was found for each row."""
    values = {name: [None if p is None else found[p] for p in places] for name, found in fetched.values.items()}
    times = {name: [None if p is None else found[p] for p in places] for name, found in fetched.event_times.items()}
    invalid = {
        name: frozenset(row for row, place in enumerate(places) if place in bad)
        for name, bad in fetched.invalid.items()
    }
    return replace(fetched, values=values, event_times=times, invalid=invalid)
