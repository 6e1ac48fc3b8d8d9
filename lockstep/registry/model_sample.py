"""Rows for a model that has none at hand: drawn from its baseline, or around its stored input example."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.registry.artifact import Artifact
from lockstep.registry.loading import baseline
from lockstep.run.plan import Column
from lockstep.scoring.profile import CategoricalColumn, ColumnProfile, NumericColumn
from lockstep.scoring.signature import Signature, arrow_type

Example = Mapping[str, list[Any]]
FLOATING, WHOLE = {"float", "double", "float16"}, {"integer", "long", "uint8", "int8", "int16"}


def model_sample(artifact: Artifact, *, rows: int) -> tuple[pa.RecordBatch, str] | None:
    """Draw rows of a model's signature, the same each time; return them and what they are drawn from.

    Columns are drawn independently: numbers evenly within the bins of the baseline, or between the least and the
    largest of the example; texts as often as they are known; tensors normally around the example's.

    Returns:
        None when the model has neither for some input.
    """
    profile = baseline(artifact.path)
    profiles = profile.columns if profile is not None else {}
    example = _example(artifact)
    rng = np.random.default_rng(0)
    sources: dict[str, None] = {}
    arrays = []
    for column in artifact.signature.inputs:
        known = profiles.get(column.name)
        if known is not None and column.shape is None:
            sources["the model's baseline"] = None
            arrays.append(_of_profile(known, column, rng=rng, rows=rows))
        elif example.get(column.name):
            sources["the model's input example"] = None
            arrays.append(_of_example(example[column.name], column, rng=rng, rows=rows))
        else:
            return None
    batch = pa.RecordBatch.from_arrays(arrays, names=[column.name for column in artifact.signature.inputs])
    return batch, f"{rows:,} rows drawn from {' and '.join(sources)}"


def generic_sample(signature: Signature, *, rows: int) -> pa.RecordBatch | None:
    """Draw rows for a model of which no row is known, the same each time: to try how it computes, not what it says.

    Returns:
        Floats normally around 0, whole numbers from 0 to 9, truth values; none when an input is something else.
    """
    if not all(column.dtype in FLOATING | WHOLE | {"boolean"} for column in signature.inputs):
        return None
    rng = np.random.default_rng(0)
    arrays = []
    for column in signature.inputs:
        kind, size = arrow_type(column), rows * math.prod(column.shape or ())
        drawn = rng.normal(size=size) if column.dtype in FLOATING else rng.integers(0, 10, size).astype(np.float64)
        plain = column.model_copy(update={"shape": None})
        numbers = _numbers(drawn, plain, lacking=np.zeros(size, bool))
        arrays.append(numbers if column.shape is None else pa.FixedSizeListArray.from_arrays(numbers, kind.list_size))
    return pa.RecordBatch.from_arrays(arrays, schema=signature.schema)


def _example(artifact: Artifact) -> Example:
    """Return the stored example by column; empty when there is none that can be read."""
    if artifact.input_example is None:
        return {}
    try:
        stored = json.loads((artifact.path / artifact.input_example).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if isinstance(stored, dict) and "data" in stored and "columns" in stored:
        return {str(n): [row[i] for row in stored["data"]] for i, n in enumerate(stored["columns"])}
    if isinstance(stored, dict):
        return {str(name): values for name, values in stored.items() if isinstance(values, list)}
    inputs = artifact.signature.inputs
    return {inputs[0].name: stored} if isinstance(stored, list) and len(inputs) == 1 else {}


def _of_profile(known: ColumnProfile, column: Column, *, rng: np.random.Generator, rows: int) -> pa.Array:
    total = known.count + known.nulls
    lacking = rng.random(rows) < (known.nulls / total if total else 0.0)
    if isinstance(known, CategoricalColumn):
        drawn = _of_counts(known, rng=rng, rows=rows)
        if column.dtype == "boolean":
            return pa.array([value == "true" for value in drawn], pa.bool_())
        return pa.array([None if lack else value for value, lack in zip(drawn, lacking, strict=True)], pa.string())
    return _numbers(_of_bins(known, rng=rng, rows=rows), column, lacking=lacking)


def _of_counts(known: CategoricalColumn, *, rng: np.random.Generator, rows: int) -> list[str]:
    counts = np.array(list(known.counts.values()), dtype=np.float64)
    if not counts.sum():
        return ["" for _ in range(rows)]
    return list(rng.choice(list(known.counts), size=rows, p=counts / counts.sum()))


def _of_bins(known: NumericColumn, *, rng: np.random.Generator, rows: int) -> npt.NDArray[np.float64]:
    low = known.min if known.min is not None else 0.0
    high = known.max if known.max is not None else 0.0
    bounds = np.array([low, *known.edges, high])
    counts = np.array(known.counts, dtype=np.float64)
    if not counts.sum():
        return np.full(rows, low)
    bins = rng.choice(len(counts), size=rows, p=counts / counts.sum())
    drawn: npt.NDArray[np.float64] = bounds[bins] + rng.random(rows) * (bounds[bins + 1] - bounds[bins])
    return drawn


def _of_example(values: list[Any], column: Column, *, rng: np.random.Generator, rows: int) -> pa.Array:
    if column.shape is not None:
        return _tensors(np.array(values), column, rng=rng, rows=rows)
    if column.dtype in FLOATING | WHOLE:
        known = np.array([v for v in np.ravel(np.array(values, dtype=object)) if v is not None], dtype=np.float64)
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
        return _numbers(rng.uniform(low, high, rows), column, lacking=np.zeros(rows, bool))
    picked = [values[place] for place in rng.integers(0, len(values), rows)]
    plain = pa.array(picked)
    return plain if plain.type == arrow_type(column) else plain.cast(arrow_type(column))


def _tensors(values: npt.NDArray[Any], column: Column, *, rng: np.random.Generator, rows: int) -> pa.Array:
    kind = arrow_type(column)
    flat = values.reshape(len(values), -1)
    if column.dtype not in FLOATING:
        drawn = flat[rng.integers(0, len(flat), rows)]
    else:
        spread = flat.std(axis=0) if len(flat) > 1 else np.full(flat.shape[1], flat.std() or 1.0)
        drawn = flat.mean(axis=0) + spread * rng.normal(size=(rows, flat.shape[1]))
    wanted = kind.value_type.to_pandas_dtype()
    return pa.FixedSizeListArray.from_arrays(
        pa.array(drawn.astype(wanted).reshape(-1), kind.value_type), kind.list_size
    )


def _numbers(drawn: npt.NDArray[np.float64], column: Column, *, lacking: npt.NDArray[np.bool_]) -> pa.Array:
    kind = arrow_type(column)
    if column.dtype == "boolean":
        return pa.array(drawn > 0.5, kind)
    if column.dtype in FLOATING:
        return pa.array(drawn, mask=lacking).cast(kind)
    return pa.array(np.rint(drawn)).cast(kind)
