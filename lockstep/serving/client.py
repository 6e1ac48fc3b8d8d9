"""A client for parity, which sends rows in every form that both protocols know; `lockstep.client` is for users."""

import datetime as dt
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from lockstep.client.access import access_to
from lockstep.client.patience import Deadline
from lockstep.client.transport import HttpTransport, error_text
from lockstep.run.plan import Column
from lockstep.serving.errors import EndpointUnavailable
from lockstep.serving.tensors import DATATYPES

TIMEOUT_S = 60.0
BUSY, BUSY_TRIES, BUSY_WAIT_S = 503, 20, 0.25

Rows = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class ServedVersion:
    """What an endpoint says it serves."""

    name: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"{self.name} version {self.version}, digest {self.digest}"


@dataclass(frozen=True)
class Reply:
    """An answer: scores in row order, or the error text; and who gave it."""

    status: int
    scores: tuple[float, ...]
    error: str
    digest: str


class EndpointClient:
    """Asks one endpoint about one model; not thread-safe."""

    def __init__(self, url: str, model: str, *, inputs: Sequence[Column], output: str) -> None:
        access = access_to(url)
        self._url = access.url
        self._model = quote(model, safe="")
        self._inputs = tuple(inputs)
        self._output = output
        self._transport = HttpTransport(access)

    def served(self) -> ServedVersion:
        """Ask what is served.

        Raises:
            EndpointUnavailable: It does not answer, or does not serve the model.
        """
        status, headers, body = self._exchange("GET", f"/v2/models/{self._model}", None)
        if status != HTTPStatus.OK:
            raise EndpointUnavailable(self._url, problem=f"answered {status}: {error_text(body)}")
        digest = headers.get("x-lockstep-model-digest", "")
        return ServedVersion(
            headers.get("x-lockstep-model-name", ""), headers.get("x-lockstep-model-version", ""), digest
        )

    def score(self, rows: Rows, *, encoding: str) -> Reply:
        """Score rows.

        Args:
            rows: Values by input column.
            encoding: `tensors` for the Open Inference Protocol, else a field of MLflow's protocol.

        Raises:
            EndpointUnavailable: It does not answer, or not in the protocol.
        """
        path = f"/v2/models/{self._model}/infer" if encoding == "tensors" else "/invocations"
        body = json.dumps(ENCODINGS[encoding](rows, self._inputs), default=_timestamp).encode()
        status, headers, content = self._exchange("POST", path, body)
        for _ in range(BUSY_TRIES):
            if status != BUSY:
                break
            time.sleep(BUSY_WAIT_S)
            status, headers, content = self._exchange("POST", path, body)
        digest = headers.get("x-lockstep-model-digest", "")
        if status != HTTPStatus.OK:
            return Reply(status, (), error_text(content), digest)
        return Reply(status, self._scores(content, tensors=encoding == "tensors"), "", digest)

    def _scores(self, content: bytes, *, tensors: bool) -> tuple[float, ...]:
        try:
            answer = json.loads(content)
            if tensors:
                return tuple(answer["outputs"][0]["data"])
            return tuple(record[self._output] for record in answer["predictions"])
        except (ValueError, LookupError, TypeError) as error:
            raise EndpointUnavailable(self._url, problem="gave an answer outside the protocol") from error

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        deadline = Deadline.after(TIMEOUT_S)
        answered = self._transport.send(method, path, deadline=deadline, body=body, headers=headers)
        return answered.status, answered.headers, answered.body

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


def _timestamp(value: object) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    raise TypeError(f"a feature of type {type(value).__name__} has no JSON form")


def _count(rows: Rows) -> int:
    return len(next(iter(rows.values())))


def _records(rows: Rows) -> list[dict[str, Any]]:
    return [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]


def _split(rows: Rows, _: Sequence[Column]) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(rows), "data": list(zip(*rows.values(), strict=True))}}


def _tensors(rows: Rows, inputs: Sequence[Column]) -> dict[str, Any]:
    return {"inputs": [_tensor(column, rows[column.name], rows=_count(rows)) for column in inputs]}


def _tensor(column: Column, values: Sequence[Any], *, rows: int) -> dict[str, Any]:
    shape = [rows, *(column.shape or ())]
    if column.shape is not None:  # a row is a flat list; one without a value makes the data too short, and is refused
        values = [element for row in values for element in (row or ())]
    plain = [None if isinstance(value, float) and math.isnan(value) else value for value in values]
    return {"name": column.name, "shape": shape, "datatype": DATATYPES[column.dtype][0], "data": plain}


# How the same rows are written; floats as Python writes them: the shortest text that reads back to the same bits.
ENCODINGS: dict[str, Callable[[Rows, Sequence[Column]], dict[str, Any]]] = {
    "dataframe_split": _split,
    "dataframe_records": lambda rows, _: {"dataframe_records": _records(rows)},
    "instances": lambda rows, _: {"instances": _records(rows)},
    "inputs": lambda rows, _: {"inputs": {name: list(values) for name, values in rows.items()}},
    "tensors": _tensors,
}
