"""Both protocols over HTTP: MLflow's scoring protocol, and the Open Inference Protocol with binary tensors."""

import json
import math
import uuid
from collections.abc import Mapping
from urllib.parse import quote

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from lockstep.client.access import Access
from lockstep.client.answers import Answer, Arrays, Interface, Listed, answer_of, column_of, shaped
from lockstep.client.errors import HTTP_ERRORS, AnswerInvalid, refusal
from lockstep.client.patience import Deadline
from lockstep.client.tensors import decode_response, encode_request, one_array
from lockstep.client.transport import Answered, HttpTransport, error_text
from lockstep.errors import LockstepError, RequestInvalid

JSON, OCTETS = "application/json", "application/octet-stream"
JSON_LENGTH = "inference-header-content-length"
TIMEOUT = "x-request-timeout-ms"
OK, NOT_FOUND, UNAVAILABLE = 200, 404, 503
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RequestInvalid)


class RestWire:
    """The Open Inference Protocol over HTTP."""

    names_versions = True

    def __init__(self, access: Access) -> None:
        self._url = access.url
        self._transport = HttpTransport(access)

    def describe(self, model: str | None, version: str | None, *, deadline: Deadline) -> Interface:
        """Ask what a model takes and gives; see `Wire`."""
        name = model if model is not None else self._default(deadline)
        answered = self._ask("GET", _path(name, version), deadline=deadline)
        try:
            found = orjson.loads(answered.body)
            inputs = tuple(column_of(each["name"], each["datatype"], each["shape"]) for each in found["inputs"])
            outputs = tuple(column_of(each["name"], each["datatype"], each["shape"]) for each in found["outputs"])
            facts = tuple(str(number) for number in found["versions"])
            digest = str(found.get("properties", {}).get("digest", ""))
            own = answered.headers.get("x-lockstep-model-version", version or "")
            return Interface(str(found["name"]), own, facts, inputs, outputs, digest)
        except UNREADABLE as error:
            raise AnswerInvalid(self._url, problem="it does not describe a model") from error

    def _default(self, deadline: Deadline) -> str:
        """Return the name of the default model, which the answer to a request of no rows has."""
        answered = self._ask("POST", "/invocations", deadline=deadline, body=b'{"instances": []}')
        name = answered.headers.get("x-lockstep-model-name", "")
        if not name:
            raise AnswerInvalid(self._url, problem="it does not say which model answers; name one")
        return name

    def score(
        self, table: pa.Table, interface: Interface, *, version: str | None, request_id: str, deadline: Deadline
    ) -> tuple[Arrays, Answer]:
        """Score fitted rows; see `Wire`."""
        inputs = [column for column in interface.inputs if column.name in table.column_names]
        body, json_bytes = encode_request(table, inputs)
        path = f"{_path(interface.model, version)}/infer"
        headers = {"content-type": OCTETS, JSON_LENGTH: str(json_bytes)}
        answered = self._ask(
            "POST", path, deadline=deadline, body=body, headers={**headers, "x-request-id": request_id}
        )
        try:
            length = answered.headers.get(JSON_LENGTH)
            _, outputs = decode_response(answered.body, None if length is None else int(length))
            _require_rows(outputs, table.num_rows)
        except UNREADABLE as error:
            raise AnswerInvalid(self._url, problem="it holds no outputs for the rows") from error
        return outputs, answer_of(answered.headers, model=interface.model, request_id=request_id)

    def ready(self, model: str | None, *, deadline: Deadline) -> bool:
        """Ask whether the endpoint, or one model, answers; see `Wire`."""
        path = "/v2/health/ready" if model is None else f"{_path(model, None)}/ready"
        answered = self._transport.send("GET", path, deadline=deadline)
        if answered.status in {OK, UNAVAILABLE, NOT_FOUND}:
            return answered.status == OK
        raise self._refused(answered, "")

    def models(self, *, deadline: Deadline) -> tuple[Listed, ...]:
        """Ask which versions are loaded; see `Wire`."""
        answered = self._ask("POST", "/v2/repository/index", deadline=deadline, body=b"{}")
        try:
            return tuple(Listed(each["name"], each["version"], each["state"]) for each in orjson.loads(answered.body))
        except UNREADABLE as error:
            raise AnswerInvalid(self._url, problem="it does not list models") from error

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def _ask(
        self,
        method: str,
        path: str,
        *,
        deadline: Deadline,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        sent = {"x-request-id": new_request_id(), **({"content-type": JSON} if body is not None else {})}
        if body is not None:
            sent[TIMEOUT] = str(max(math.floor(deadline.require(self._url) * 1000), 1))
        sent |= headers or {}
        answered = self._transport.send(method, path, deadline=deadline, body=body, headers=sent)
        if answered.status != OK:
            raise self._refused(answered, sent["x-request-id"])
        return answered

    def _refused(self, answered: Answered, request_id: str) -> LockstepError:
        kind, status = HTTP_ERRORS.get(answered.status), str(answered.status)
        named = answered.headers.get("x-request-id", request_id)
        wait = answered.headers.get("retry-after", "")
        after_s = float(wait) if wait.isascii() and wait.isdecimal() else None
        said = error_text(answered.body)
        return refusal(kind, self._url, status, said=said, request_id=named, retry_after_s=after_s)


class MlflowWire(RestWire):
    """MLflow's scoring protocol; what a model takes is asked for in the other one."""

    names_versions = False

    def score(
        self, table: pa.Table, interface: Interface, *, version: str | None, request_id: str, deadline: Deadline
    ) -> tuple[Arrays, Answer]:
        """Score fitted rows; see `Wire`. No version can be named."""
        if version is not None:
            raise ValueError("MLflow's protocol names no version")
        path = f"/endpoints/{quote(interface.model, safe='')}/invocations"
        body = encode_columns(table)
        answered = self._ask("POST", path, deadline=deadline, body=body, headers={"x-request-id": request_id})
        answer = answer_of(answered.headers, model=interface.model, request_id=request_id)
        if answer.version and answer.version != interface.version:  # another version took over: its types count
            interface = self.describe(interface.model, answer.version, deadline=deadline)
        try:
            records = orjson.loads(answered.body)["predictions"]
            outputs = {
                column.name: shaped([record[column.name] for record in records], column, rows=table.num_rows)
                for column in interface.outputs
            }
        except UNREADABLE as error:
            raise AnswerInvalid(self._url, problem="it holds no prediction for each row") from error
        return outputs, answer


def encode_columns(table: pa.Table) -> bytes:
    """Write rows as the field `inputs` of MLflow's protocol, floats so that they read back to the same bits."""
    columns = {name: one_array(table, name) for name in table.column_names}
    values = {"inputs": {name: array.to_pylist() for name, array in columns.items()}}
    if any(_has_infinity(array) for array in columns.values()):
        return json.dumps(values).encode()  # orjson would write null, which is something else
    return orjson.dumps(values)


def _has_infinity(array: pa.Array) -> bool:
    flat = array.flatten() if pa.types.is_fixed_size_list(array.type) else array
    return bool(pa.types.is_floating(flat.type) and pc.any(pc.is_inf(flat)).as_py())


def new_request_id() -> str:
    """Return an id under which the endpoint's log has a request."""
    return f"client-{uuid.uuid4().hex}"


def _require_rows(outputs: Arrays, rows: int) -> None:
    if not outputs or any(len(values) != rows for values in outputs.values()):
        raise ValueError("another number of rows")


def _path(model: str, version: str | None) -> str:
    path = f"/v2/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{quote(version, safe='')}"
