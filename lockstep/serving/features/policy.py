"""What becomes of a feature that is missing or too old, and a record of what was used."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from lockstep.serving.features.errors import FeatureSourceUnavailable, FeaturesRefused
from lockstep.serving.features.source import Fetched
from lockstep.specs.features_spec import Action, FeaturePolicy, FeatureState

Use = Literal["source", "default", "null", "rejected"]

USES: dict[Action, Use] = {"reject": "rejected", "default": "default", "null": "null"}


@dataclass(frozen=True)
class UsedFeature:
    """What was used of a feature, row by row.

    Attributes:
        source: Who was asked.
        values: What the model gets; `None` also in rows that are rejected.
        states: What the source had.
        uses: Where the value comes from.
        event_times: Of what the source had.
    """

    source: str
    values: tuple[Any, ...]
    states: tuple[FeatureState, ...]
    uses: tuple[Use, ...]
    event_times: tuple[dt.datetime | None, ...]


@dataclass(frozen=True)
class Enrichment:
    """The features of a request.

    Attributes:
        rows: Rows of the request.
        features: By name of the model's input.
        rejected: Rows that may not be scored, and why.
        failures: Sources that gave no answer, and why.
        seconds: How long each source took.
    """

    rows: int
    features: Mapping[str, UsedFeature]
    rejected: Mapping[int, str]
    failures: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, tuple[Any, ...]]:
        """The plain values by name of the model's input."""
        return {name: used.values for name, used in self.features.items()}

    def raise_if_rejected(self) -> None:
        """Raise when a row may not be scored.

        Raises:
            FeatureSourceUnavailable: A source gave no answer, and a feature of it may not be done without.
            FeaturesRefused: Features of some rows are missing or too old.
        """
        for used in self.features.values():
            lacking = {state for state, use in zip(used.states, used.uses, strict=True) if use == "rejected"}
            if "unavailable" in lacking:
                raise FeatureSourceUnavailable(used.source, reason=self.failures[used.source])
        if self.rejected:
            raise FeaturesRefused(self.rejected, rows=self.rows)

    def log_columns(self) -> dict[str, pa.Array]:
        """Return what was used as columns for the log: of each feature its state, its use and its event's time."""
        columns: dict[str, pa.Array] = {}
        for name, used in self.features.items():
            columns[f"{name}__state"] = pa.array(used.states, pa.string())
            columns[f"{name}__use"] = pa.array(used.uses, pa.string())
            columns[f"{name}__event_time"] = pa.array(used.event_times, pa.timestamp("us", "UTC"))
        return columns


def judge(fetched: Fetched | None, policy: FeaturePolicy, *, source: str, rows: int, now: dt.datetime) -> UsedFeature:
    """Say what is used of one feature.

    Args:
        fetched: What the source had; none: it gave no answer.
        policy: Of the feature.
        source: Who was asked.
        rows: Rows of the request.
        now: Present time.
    """
    states: tuple[FeatureState, ...] = tuple("unavailable" for _ in range(rows))
    values: tuple[Any, ...] = (None,) * rows
    times: tuple[dt.datetime | None, ...] = (None,) * rows
    if fetched is not None:
        values, times = tuple(fetched.values[policy.feature]), tuple(fetched.event_times[policy.feature])
        invalid = fetched.invalid.get(policy.feature, frozenset())
        states = tuple(
            "invalid" if row in invalid else _state(value, moment, policy.max_age_s, now=now)
            for row, (value, moment) in enumerate(zip(values, times, strict=True))
        )
    uses = tuple("source" if state == "fresh" else USES[policy.action(state)] for state in states)
    used = tuple(
        value if use == "source" else policy.default if use == "default" else None
        for value, use in zip(values, uses, strict=True)
    )
    return UsedFeature(source, used, states, uses, times)


def _state(value: Any, moment: dt.datetime | None, max_age_s: float | None, *, now: dt.datetime) -> FeatureState:
    if value is None:
        return "missing"
    if max_age_s is None:
        return "fresh"
    return "fresh" if moment is not None and (now - moment).total_seconds() <= max_age_s else "stale"


def rejections(features: Mapping[str, UsedFeature]) -> dict[int, str]:
    """Return the rows that may not be scored, and which features are the reason."""
    found: dict[int, list[str]] = {}
    for name, used in features.items():
        for row, (state, use) in enumerate(zip(used.states, used.uses, strict=True)):
            if use == "rejected":
                found.setdefault(row, []).append(f"feature {name!r} is {state}")
    return {row: ", ".join(found[row]) for row in sorted(found)}
