"""The client of an endpoint: rows in, outputs and who answered out, the same in each protocol."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

import pyarrow as pa

from lockstep.client.access import Access, access_to
from lockstep.client.answers import Answer, Arrays, Interface, Listed, Prediction, joined
from lockstep.client.errors import (
    ModelNotServed,
    Refusal,
    RequestRefused,
    RequestTooLarge,
    TargetInvalid,
    Unanswered,
)
from lockstep.client.fitting import Rows, fitted
from lockstep.client.patience import Deadline, patiently
from lockstep.client.rest import MlflowWire, RestWire, new_request_id
from lockstep.client.wire import Wire

Protocol = Literal["mlflow", "v2", "grpc"]
TIMEOUT_S = 60.0
# Of one request: half of the smallest limit that an endpoint has unless it is told otherwise, and rows.
BODY_BYTES, MOST_ROWS = 8 * 2**20, 10_000
ResultT = TypeVar("ResultT")


class Client:
    """Asks an endpoint for predictions; may be used by several threads.

    Connections stay open until `close`, or the end of a `with` block. Busy endpoints are asked again when they say so,
    within the timeout.

    Args:
        url: `http://host:port`, or with https, grpc or grpcs.
        protocol: None: `grpc` for those addresses, else `v2` (Open Inference Protocol). All give the same bits.
        token: A JSON Web Token, or an API key, sent as `Authorization: Bearer`.
        api_key: An API key, sent as `X-API-Key`.
        timeout_s: For each call of a method, all its requests and tries together. The endpoint is told, and does not
            score what could only be answered later.
        ca: Certificates that vouch for the endpoint, instead of the system's.
        certificate, key: Of the client, for mutual TLS.

    Raises:
        TargetInvalid: One of them cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        protocol: Protocol | None = None,
        token: str | None = None,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        ca: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        if not timeout_s > 0:
            raise TargetInvalid(f"the timeout is {timeout_s:g} s; expected more than 0")
        access = access_to(url, token=token, api_key=api_key, ca=ca, certificate=certificate, key=key)
        self._wire = _wire(access, protocol)
        self._timeout_s = timeout_s
        self._interfaces: dict[tuple[str | None, str | None], Interface] = {}

    def predict(self, rows: Rows, *, model: str | None = None, version: str | int | None = None) -> Prediction:
        """Ask for the outputs for some rows, in as many requests as they need.

        All rows are answered by one version, that of the first request, except in MLflow's protocol, which cannot name
        one, and for a model on trial, whose arms are the endpoint's choice.

        Args:
            rows: A table of Arrow or pandas, records, or columns by name; columns beyond the model's inputs are not
                sent.
            model: Registered name; none: the endpoint's default.
            version: Number of a loaded version; none: the one that answers now.

        Raises:
            RowsUnfit: The rows do not fit the model; nothing was sent.
            Refusal: The endpoint answered with an error, after it was asked again where that may help. The message
                says for which rows.
            ConnectionFailed, AnswerTooLate, AnswerInvalid: It did not answer, in time, or in the protocol.
            TargetInvalid: A version was named in MLflow's protocol.
        """
        wanted = str(version) if version is not None else None
        if wanted is not None and not self._wire.names_versions:
            raise TargetInvalid("MLflow's protocol cannot name a version; use the protocol v2 or grpc")
        deadline = Deadline.after(self._timeout_s)
        try:
            interface = self._interface(model, wanted, deadline)
            parts = list(self._parts(fitted(rows, interface.inputs), interface, version=wanted, deadline=deadline))
        except (RequestRefused, ModelNotServed):
            self._interfaces.pop((model, wanted), None)  # perhaps of a version that is gone
            raise
        prediction = joined(parts)
        if wanted is None and any(answer.version != interface.version for answer in prediction.answers):
            self._interfaces.pop((model, wanted), None)
        return prediction

    def metadata(self, model: str | None = None, *, version: str | int | None = None) -> Interface:
        """Ask what a model takes and gives, by name; none: the default one. Raises what `predict` does."""
        deadline = Deadline.after(self._timeout_s)
        wanted = str(version) if version is not None else None
        found = patiently(lambda: self._wire.describe(model, wanted, deadline=deadline), deadline)
        self._interfaces[model, wanted] = found
        return found

    def models(self) -> tuple[Listed, ...]:
        """Ask which versions of which models are loaded. Raises what `predict` does."""
        deadline = Deadline.after(self._timeout_s)
        return patiently(lambda: self._wire.models(deadline=deadline), deadline)

    def ready(self, model: str | None = None) -> bool:
        """Ask once whether the endpoint, or one model, takes requests. Raises what `predict` does."""
        return self._wire.ready(model, deadline=Deadline.after(self._timeout_s))

    @property
    def names_versions(self) -> bool:
        """Whether the protocol can ask for a version."""
        return self._wire.names_versions

    def close(self) -> None:
        """Close all connections."""
        self._wire.close()

    def __enter__(self) -> "Client":
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _interface(self, model: str | None, version: str | None, deadline: Deadline) -> Interface:
        found = self._interfaces.get((model, version))
        if found is None:
            found = patiently(lambda: self._wire.describe(model, version, deadline=deadline), deadline)
            self._interfaces[model, version] = found
        return found

    def _parts(
        self, table: pa.Table, interface: Interface, *, version: str | None, deadline: Deadline
    ) -> Iterator[tuple[Arrays, Answer]]:
        """Score a table in pieces; one that is too large for the endpoint is halved, and so are those after it."""
        first, size = 0, _rows_per_request(table)
        while first < table.num_rows or not first:
            piece = table.slice(first, size)
            try:
                outputs, answer = self._score(piece, interface, version=version, deadline=deadline)
            except RequestTooLarge as error:
                if piece.num_rows <= 1:
                    raise error.about(first, piece.num_rows) from error
                size = piece.num_rows // 2
                continue
            except (Refusal, Unanswered) as error:
                raise error.about(first, piece.num_rows) from error
            yield outputs, _placed(answer, first, piece.num_rows)
            if version is None and self._wire.names_versions and answer.version and not answer.arm:
                version = answer.version
            first += piece.num_rows
            if not table.num_rows:
                return

    def _score(
        self, piece: pa.Table, interface: Interface, *, version: str | None, deadline: Deadline
    ) -> tuple[Arrays, Answer]:
        request_id = new_request_id()
        return patiently(
            lambda: self._wire.score(piece, interface, version=version, request_id=request_id, deadline=deadline),
            deadline,
        )


def _placed(answer: Answer, first: int, rows: int) -> Answer:
    return Answer(**{**vars(answer), "first_row": first, "rows": rows})


def _rows_per_request(table: pa.Table) -> int:
    per_row = max(table.nbytes / max(table.num_rows, 1), 1)
    return max(min(int(BODY_BYTES / (2 * per_row)), MOST_ROWS), 1)


def _wire(access: Access, protocol: Protocol | None) -> Wire:
    is_grpc = access.url.startswith("grpc")
    chosen = protocol or ("grpc" if is_grpc else "v2")
    if is_grpc and chosen != "grpc":
        raise TargetInvalid(f"protocol {chosen} is over http; got {access.url!r}")
    if chosen == "grpc":
        # Imported here: gRPC takes its time, and the other protocols do without.
        from lockstep.client.grpc_wire import GrpcWire

        return GrpcWire(access)
    kinds: dict[str, Callable[[Access], Wire]] = {"mlflow": MlflowWire, "v2": RestWire}
    if chosen not in kinds:
        raise TargetInvalid(f"protocol {chosen!r} is not known; expected mlflow, v2 or grpc")
    return kinds[chosen](access)
