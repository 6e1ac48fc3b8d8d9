"""From scored micro-batches to the rows that are written."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lockstep.scoring.outputs import arrow_array
from lockstep.serving.inference_log.hand_over import Entry
from lockstep.serving.inference_log.layout import Layout
from lockstep.serving.inference_log.redaction import redacted
from lockstep.serving.rows import to_batch
from lockstep.serving.trace import Trace

MICROSECONDS = 1_000_000
NOBODY = Trace("")


def record(entries: Sequence[Entry], *, take_ids: Callable[[int], Any], salt: bytes) -> pa.RecordBatch:
    """Put micro-batches of one version into one batch of its layout's schema, without requests that are not logged.

    Args:
        entries: Of one version, at least one.
        take_ids: Gives so many new numbers of rows, as an array.
        salt: Keys the hashes.
    """
    layout = entries[0].layout
    labels = chain.from_iterable([entry.labels for entry in entries])
    traces = [label if isinstance(label, Trace) else NOBODY for label in labels]
    logged = [trace is not NOBODY for trace in traces]
    counts = np.array(list(chain.from_iterable([entry.counts for entry in entries])), np.int64)
    spread = _spreading(counts)
    rows = sum([entry.size for entry in entries])
    reasons = _reasons(entries, rows=rows)
    columns = {
        "log_id": pa.array(take_ids(rows), pa.int64()),
        **_of_requests(entries, traces, spread=spread),
        **_of_versions(layout, rows),
        **_inputs(entries, layout, salt=salt),
        **_outputs(entries, layout, reasons=reasons, salt=salt),
        "row": _places(entries, counts),
        "reason": reasons,
    }
    for name, policy in layout.personal.items():
        if policy != "drop":
            columns[name] = redacted(columns[name], pa.string(), policy, salt=salt)
    schema = layout.arrow_schema
    batch = pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)
    return batch if all(logged) else batch.filter(pa.array(np.repeat(np.array(logged), counts)))


Spread = Callable[[pa.Array], pa.Array]


def _spreading(counts: Any) -> Spread:
    """Return what makes values of requests into values of rows."""
    if len(counts) == counts.sum() and (counts == 1).all():
        return lambda values: values
    places = pa.array(np.repeat(np.arange(len(counts)), counts))
    return lambda values: values.take(places)


def _of_requests(entries: Sequence[Entry], traces: Sequence[Trace], *, spread: Spread) -> dict[str, pa.Array]:
    """Return what is known of each request; what is not, such as the time of an answer never given, is null."""
    stages = [trace.stages_s for trace in traces]
    encode = [each.get("encode") for each in stages]
    until = chain.from_iterable([[entry.clock] * len(entry.labels) for entry in entries])
    total = [
        None if encoding is None else clock - trace.began + encoding
        for encoding, trace, clock in zip(encode, traces, until, strict=True)
    ]
    moments = chain.from_iterable([[int(e.scored_at * MICROSECONDS)] * len(e.labels) for e in entries])
    sizes = chain.from_iterable([[entry.size] * len(entry.labels) for entry in entries])
    found = {
        "request_id": pa.array([trace.request_id for trace in traces], pa.string()),
        "arm": pa.array([trace.arm or None for trace in traces], pa.string()),
        "edge": pa.array([trace.edge for trace in traces], pa.string()),
        "client": pa.array([trace.client or None for trace in traces], pa.string()),
        "queue_s": pa.array([each.get("queue") for each in stages], pa.float64()),
        "compute_s": pa.array([each.get("compute") for each in stages], pa.float64()),
        "total_s": pa.array(total, pa.float64()),
        "scored_at": pa.array(list(moments), pa.timestamp("us", tz="UTC")),
        "batch_rows": pa.array(list(sizes), pa.int32()),
    }
    return {name: spread(values) for name, values in found.items()}


def _of_versions(layout: Layout, rows: int) -> dict[str, pa.Array]:
    constants: dict[str, pa.Scalar] = {
        "model_name": pa.scalar(layout.model_name, pa.string()),
        "model_version": pa.scalar(layout.model_version, pa.int64()),
        "model_digest": pa.scalar(layout.model_digest, pa.string()),
        "run_key": pa.scalar(None, pa.string()),
        "precision": pa.scalar(layout.precision, pa.string()),
        "device": pa.scalar(layout.device, pa.string()),
        "block_rows": pa.scalar(layout.block_rows, pa.int32()),
    }
    return {name: pa.repeat(value, rows) for name, value in constants.items()}


def _inputs(entries: Sequence[Entry], layout: Layout, *, salt: bytes) -> dict[str, pa.Array]:
    batch, schema = _batch(entries, layout), layout.arrow_schema
    return {
        each.name: redacted(batch.column(place), schema.field(each.name).type, each.policy, salt=salt)
        for place, each in enumerate(layout.inputs)
        if each.policy != "drop"
    }


def _batch(entries: Sequence[Entry], layout: Layout) -> pa.RecordBatch:
    """Put rows together; plain ones before they become Arrow, as that costs little more for many than for one."""
    batches = [
        to_batch([entry.rows for entry in alike], layout.signature)
        for _, alike in groupby(entries, key=lambda entry: isinstance(entry.content, bytes))
    ]
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _outputs(entries: Sequence[Entry], layout: Layout, *, reasons: pa.Array, salt: bytes) -> dict[str, pa.Array]:
    found = {}
    for place, each in enumerate(layout.outputs):
        if each.policy == "drop":
            continue
        values = np.concatenate([entry.outputs[place] for entry in entries])
        array = _null_where(arrow_array(each.column, values), reasons)
        found[each.name] = redacted(array, layout.arrow_schema.field(each.name).type, each.policy, salt=salt)
    return found


def _reasons(entries: Iterable[Entry], *, rows: int) -> pa.Array:
    """Return why rows have no score; such rows are logged too, since what was asked for belongs to the inputs."""
    found: dict[int, str] = {}
    start = 0
    for entry in entries:
        if entry.reasons:
            found.update({start + row: reason for row, reason in entry.reasons.items()})
        start += entry.size
    if not found:
        return pa.nulls(rows, pa.string())
    return pa.array([found.get(row) for row in range(rows)], pa.string())


def _places(entries: Iterable[Entry], counts: Any) -> pa.Array:
    """Return which row of its request each row is."""
    starts = np.array(list(chain.from_iterable([entry.starts for entry in entries])), np.int64)
    before = np.cumsum(counts) - counts
    return pa.array((np.arange(counts.sum()) + np.repeat(starts - before, counts)).astype(np.int32))


def _null_where(values: pa.Array, reasons: pa.Array) -> pa.Array:
    """Return outputs with null where there is a reason; tensors keep NaN, as in the files of a batch."""
    if reasons.null_count == len(reasons) or pa.types.is_fixed_size_list(values.type):
        return values
    return pc.if_else(reasons.is_null(), values, None)
