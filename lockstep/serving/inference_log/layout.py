"""What a file of the log holds: columns of the model, columns of our own, and what became of each."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Literal

import pyarrow as pa
from pydantic import ValidationError

from lockstep.run.plan import Column, Record
from lockstep.scoring.signature import Signature, arrow_type
from lockstep.specs.inference_log_spec import Policy

METADATA = b"lockstep.inference_log"

# Folders of a file, and columns for whoever reads the log as a table.
DATE, HOUR = "date", "hour"
# Which request a row is of. `log_id` is one for each row ever logged, since clients may send an id twice.
BEFORE: dict[str, pa.DataType] = {"log_id": pa.int64(), "request_id": pa.string(), "row": pa.int32()}
# Those up to `scored_at` are the stamps of a batch's rows; no run made these, so `run_key` is null.
AFTER: dict[str, pa.DataType] = {
    "reason": pa.string(),
    "model_name": pa.string(),
    "model_version": pa.int64(),
    "model_digest": pa.string(),
    "run_key": pa.string(),
    "scored_at": pa.timestamp("us", tz="UTC"),
    "arm": pa.string(),
    "edge": pa.string(),
    "client": pa.string(),
    "queue_s": pa.float64(),
    "compute_s": pa.float64(),
    "total_s": pa.float64(),
    "batch_rows": pa.int32(),
    "precision": pa.string(),
    "device": pa.string(),
    "block_rows": pa.int32(),
}
OWN = (*BEFORE, *AFTER, DATE, HOUR)
# Own columns that a policy may name; all others say nothing of anybody.
PERSONAL = ("request_id", "client")

Role = Literal["input", "output"]


class LoggedColumn(Record):
    """A column of the model in the log.

    Attributes:
        column: As the model calls it.
        name: As the log does, whose own names come first.
        policy: What became of its values.
    """

    column: Column
    name: str
    policy: Policy

    @property
    def kept(self) -> bool:
        """Whether the log has the values as they were."""
        return self.policy == "keep"


class Layout(Record):
    """What one version of a model leaves in the log; every file has it in its metadata.

    Attributes:
        precision, device, block_rows: What else the bits of a score depend on.
        sample: Share of the requests that were logged.
        personal: Policies of own columns.
    """

    format: Literal[1] = 1
    model_name: str
    model_version: int
    model_digest: str
    precision: str
    device: str
    block_rows: int
    sample: float
    inputs: tuple[LoggedColumn, ...]
    outputs: tuple[LoggedColumn, ...]
    personal: dict[str, Policy] = {}

    @cached_property
    def text(self) -> str:
        """All of it, as it is stored."""
        return self.model_dump_json()

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """Of a file, with this layout in its metadata."""
        own = [pa.field(name, kind) for name, kind in BEFORE.items() if self.personal.get(name) != "drop"]
        own_after = [pa.field(name, kind) for name, kind in AFTER.items() if self.personal.get(name) != "drop"]
        inputs = [pa.field(each.name, _input_type(each)) for each in self.inputs if each.policy != "drop"]
        outputs = [pa.field(each.name, _output_type(each)) for each in self.outputs if each.policy != "drop"]
        metadata = {METADATA: self.text.encode()}
        return pa.schema([*own, *inputs, *outputs, *own_after], metadata=metadata)

    @cached_property
    def signature(self) -> Signature:
        """Of the model."""
        return Signature(tuple(each.column for each in self.inputs), tuple(each.column for each in self.outputs))

    @property
    def title(self) -> str:
        """What messages call the version."""
        return f"{self.model_name} version {self.model_version}"


def layout_of(schema: pa.Schema) -> Layout:
    """Read the layout of a file from its schema.

    Raises:
        ValueError: It has none, or one of another format.
    """
    stored = (schema.metadata or {}).get(METADATA)
    if stored is None:
        raise ValueError("it does not say which model's rows it holds")
    try:
        return Layout.model_validate_json(stored)
    except ValidationError as error:
        raise ValueError("its description is not of this version of Lockstep") from error


def logged_columns(
    inputs: Sequence[Column],
    outputs: Sequence[Column],
    policies: Mapping[str, Policy],
    *,
    unlisted: Policy,
    sensitive: Iterable[str] = (),
) -> tuple[tuple[LoggedColumn, ...], tuple[LoggedColumn, ...]]:
    """Name the columns of a model in the log and say what becomes of each.

    A column whose name is taken, by the log or for an input by an output, is `input_<name>` or `output_<name>` there.

    Args:
        inputs: Of the model's signature.
        outputs: Of the same.
        policies: By the model's names.
        unlisted: Of the others.
        sensitive: Columns that are kept only where a policy says so.

    Returns:
        Inputs and outputs.
    """
    taken, hidden = set(OWN), set(sensitive)

    def logged(column: Column, role: Role) -> LoggedColumn:
        policy = policies.get(column.name)
        if policy is None:
            policy = "drop" if unlisted == "keep" and column.name in hidden else unlisted
        name = column.name
        while name in taken:
            name = f"{role}_{name}"
        taken.add(name)
        return LoggedColumn(column=column, name=name, policy=policy)

    found = tuple(logged(column, "output") for column in outputs)
    return tuple(logged(column, "input") for column in inputs), found


def _input_type(logged: LoggedColumn) -> pa.DataType:
    """Return the type of an input; a tensor is a list, since Arrow cannot read a fixed-size one back that is null."""
    if logged.policy == "hash":
        return pa.string()
    kind = arrow_type(logged.column)
    return kind if logged.column.shape is None else pa.list_(kind.value_type)


def _output_type(logged: LoggedColumn) -> pa.DataType:
    return arrow_type(logged.column) if logged.policy == "keep" else _input_type(logged)
