"""What a model takes and gives, and what it answered."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.client.errors import VersionsDiffer
from lockstep.run.plan import Column
from lockstep.scoring.outputs import numpy_dtype
from lockstep.scoring.signature import arrow_type

Arrays = dict[str, npt.NDArray[Any]]
# The metadata's datatypes as the signature's types. A time is BYTES there, as text is.
DTYPES = {
    "BYTES": "string", "FP64": "double", "FP32": "float", "FP16": "float16", "INT64": "long", "INT32": "integer",
    "INT16": "int16", "INT8": "int8", "UINT8": "uint8", "BOOL": "boolean",
}  # fmt: skip


@dataclass(frozen=True)
class Interface:
    """What a model takes and gives.

    Attributes:
        model: Registered name.
        version: Which one this is of; empty when the endpoint does not say.
        versions: All that are loaded.
        inputs, outputs: In the model's order. Whether an input may be left out is not said.
        digest: Of the version; may be empty.
    """

    model: str
    version: str
    versions: tuple[str, ...]
    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]
    digest: str = ""


@dataclass(frozen=True)
class Listed:
    """A version of a model, as the endpoint lists it; `state` is READY or UNAVAILABLE."""

    model: str
    version: str
    state: str


@dataclass(frozen=True)
class Answer:
    """Who answered one request.

    Attributes:
        model, version, digest: Who.
        arm: Of a trial; empty: there is none.
        request_id: Under which the endpoint's log has it.
        timing_ms: Milliseconds of its stages: decode, queue, compute, encode.
        first_row, rows: Rows of the input that were asked about.
    """

    model: str
    version: str
    digest: str
    arm: str
    request_id: str
    timing_ms: Mapping[str, float]
    first_row: int = 0
    rows: int = 0

    def __str__(self) -> str:
        arm = f", arm {self.arm}" if self.arm else ""
        return f"{self.model} version {self.version}, digest {self.digest[:12]}{arm}"


@dataclass(frozen=True)
class Prediction:
    """The outputs of a model for some rows, in their order.

    Attributes:
        outputs: A `(rows, *shape)` array of each output.
        answers: One for each request, in the order of the rows.
    """

    outputs: Arrays
    answers: tuple[Answer, ...]

    @property
    def model(self) -> str:
        """Name of the model that answered."""
        return self.answers[0].model

    @property
    def answer(self) -> Answer:
        """Who answered all rows.

        Raises:
            VersionsDiffer: Several versions did.
        """
        versions = {(each.version, each.digest, each.arm): f"{each}" for each in self.answers}
        if len(versions) > 1:
            raise VersionsDiffer(list(versions.values()))
        return self.answers[0]

    @property
    def version(self) -> str:
        """Version that answered all rows; raises `VersionsDiffer` when there is none."""
        return self.answer.version

    @property
    def digest(self) -> str:
        """Digest of the version that answered all rows; raises `VersionsDiffer` when there is none."""
        return self.answer.digest

    @property
    def table(self) -> pa.Table:
        """The outputs as Arrow columns; a tensor is a list of its elements in row order."""
        return pa.table({name: _arrow(values) for name, values in self.outputs.items()})


def joined(parts: Sequence[tuple[Arrays, Answer]]) -> Prediction:
    """Put the answers to consecutive rows together."""
    names = parts[0][0]
    outputs = {name: np.concatenate([arrays[name] for arrays, _ in parts]) for name in names}
    return Prediction(outputs, tuple(answer for _, answer in parts))


def answer_of(headers: Mapping[str, str], *, model: str, request_id: str) -> Answer:
    """Read who answered from the headers of a response, or from trailing metadata."""
    return Answer(
        model,  # in the header only ASCII is left of it
        headers.get("x-lockstep-model-version", ""),
        headers.get("x-lockstep-model-digest", ""),
        headers.get("x-lockstep-arm", ""),
        headers.get("x-request-id", request_id),
        _timing(headers.get("server-timing", "")),
    )


def _timing(text: str) -> dict[str, float]:
    """Read a Server-Timing header: https://www.w3.org/TR/server-timing/."""
    found = {}
    for part in text.split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            try:
                if key == "dur":
                    found[name] = float(value)
            except ValueError:
                continue
    return found


def column_of(name: str, datatype: str, shape: Sequence[int]) -> Column:
    """Return a tensor of the metadata as a column; raises `KeyError` for a datatype that no column has."""
    rest = tuple(int(size) for size in shape[1:])
    return Column(name=name, dtype=DTYPES[datatype], required=False, shape=None if rest in ((), (1,)) else rest)


def shaped(values: Sequence[Any] | npt.NDArray[Any], column: Column, *, rows: int) -> npt.NDArray[Any]:
    """Return the values of an output as its `(rows, *shape)` array."""
    return np.asarray(values, dtype=numpy_dtype(column)).reshape(rows, *(column.shape or ()))


def _arrow(values: npt.NDArray[Any]) -> pa.Array:
    flat = values.reshape(-1)
    elements = pa.array(flat.tolist(), pa.string()) if flat.dtype.hasobject else pa.array(flat)
    if values.ndim == 1:
        return elements
    return pa.FixedSizeListArray.from_arrays(elements, math.prod(values.shape[1:]))


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """Return the Arrow schema of columns."""
    return pa.schema([pa.field(column.name, arrow_type(column)) for column in columns])
