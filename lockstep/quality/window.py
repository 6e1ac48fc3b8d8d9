"""The trailing reference: the profiles of earlier runs, pooled into one."""

from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.scoring.sketches import FrequentSketch, QuantileSketch

Column = Mapping[str, Any]


def pooled(profiles: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one profile (JSON form) of the rows of several, which may be of different models.

    Columns counted in the same bins keep them. Where the bins differ, as between model versions with baselines of their
    own, numbers keep only their sketches, and texts the values that all sides count. A column is left out when a
    profile lacks it, when its kind differs, or when neither bins nor sketches can be pooled: a reference that stands
    for some of the days only would be another for each column.

    Args:
        profiles: At least one.
    """
    first, *others = profiles
    columns = {}
    for name in first["columns"]:
        parts = [profile["columns"].get(name) for profile in (first, *others)]
        if any(part is None or part["kind"] != parts[0]["kind"] for part in parts):
            continue
        column = _numbers(parts) if parts[0]["kind"] == "numeric" else _texts(parts)
        if column is not None:
            columns[name] = column
    return {"rows": sum(int(profile["rows"]) for profile in profiles), "columns": columns}


def _numbers(parts: Sequence[Column]) -> dict[str, Any] | None:
    sketch = _pooled_quantiles(parts)
    same = all(list(part["edges"]) == list(parts[0]["edges"]) for part in parts)
    if not same and sketch is None:
        return None
    edges = list(parts[0]["edges"]) if same else []
    counts = [sum(bins) for bins in zip(*(part["counts"] for part in parts), strict=True)] if same else []
    return {
        "kind": "numeric",
        "edges": edges,
        "counts": counts or [sum(sum(part["counts"]) for part in parts)],
        **_totals(parts),
        **({"sketch": sketch.to_text()} if sketch is not None else {}),
    }


def _texts(parts: Sequence[Column]) -> dict[str, Any] | None:
    common = set.intersection(*(set(part["counts"]) for part in parts))
    sketch = _pooled_frequencies(parts)
    if not common and sketch is None and any(part["counts"] for part in parts):
        return None
    counts = {value: sum(int(part["counts"][value]) for part in parts) for value in sorted(common)}
    everything = sum(sum(part["counts"].values()) + int(part["other"]) for part in parts)
    return {
        "kind": "categorical",
        "counts": counts,
        "other": everything - sum(counts.values()),
        **_totals(parts),
        **({"sketch": sketch.to_text()} if sketch is not None else {}),
    }


def _totals(parts: Sequence[Column]) -> dict[str, int]:
    return {name: sum(int(part[name]) for part in parts) for name in ("count", "nulls")}


def _pooled_quantiles(parts: Sequence[Column]) -> QuantileSketch | None:
    if not all(part.get("sketch") for part in parts):
        return None
    sketch = QuantileSketch()
    for part in parts:
        sketch.merge(QuantileSketch.from_text(part["sketch"]))
    return sketch


def _pooled_frequencies(parts: Sequence[Column]) -> FrequentSketch | None:
    if not all(part.get("sketch") for part in parts):
        return None
    sketch = FrequentSketch()
    for part in parts:
        sketch.merge(FrequentSketch.from_text(part["sketch"]))
    return sketch
