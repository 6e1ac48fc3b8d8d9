"""Rows on their way through an endpoint in every form, in batches of random sizes, and what differs from the batch."""

import contextlib
import http.client
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.promises.batch import Batch
from benchmarks.promises.endpoint import Endpoint
from benchmarks.promises.forms import FORMS, GRPC, METHOD, Scores, grpc_request, grpc_scores
from benchmarks.serving.server import HOST
from lockstep.serving.grpc import open_inference_pb2 as pb

MOST_ROWS = 2_000
TIMEOUT_S = 120.0
SHOWN = 3
Places = npt.NDArray[np.int64]


@dataclass
class Tally:
    """What came back in one form.

    Attributes:
        rows: Compared.
        requests: Answered.
        differing_bits: Of all scores.
        differing_rows: Rows with one or more of them.
        problems: The first few requests that had no answer of their own, as text.
        failed: How many there were.
    """

    rows: int = 0
    requests: int = 0
    differing_bits: int = 0
    differing_rows: int = 0
    failed: int = 0
    problems: list[str] = field(default_factory=list)

    def note(self, expected: Scores, got: Scores) -> None:
        """Compare the answer to one request, bit for bit."""
        if got.shape != expected.shape:
            self.fail(f"{len(got)} scores for {len(expected)} rows")
            return
        bits = np.bitwise_count(expected.view(np.uint64) ^ got.view(np.uint64))
        self.requests += 1
        self.rows += len(expected)
        self.differing_bits += int(bits.sum())
        self.differing_rows += int(np.count_nonzero(bits))

    def fail(self, problem: str) -> None:
        """Count a request without an answer that could be compared."""
        self.failed += 1
        if len(self.problems) < SHOWN:
            self.problems.append(problem)

    def holds(self, rows: int) -> bool:
        """Whether so many rows came back, each in every bit as the batch has it."""
        return self.rows == rows and not self.differing_bits and not self.failed


def draw_requests(rows: int, forms: Sequence[str], *, seed: int) -> list[tuple[str, Places]]:
    """Draw who is asked for with whom: each row once in each form, shuffled, small requests as likely as large ones.

    Args:
        rows: How many there are.
        forms: Names of forms.
        seed: Of the draw.

    Returns:
        Form and places of rows of each request, the forms interleaved.
    """
    rng = np.random.default_rng(seed)
    requests: list[tuple[str, Places]] = []
    for form in forms:
        order, start = rng.permutation(rows), 0
        while start < rows:
            size = round(float(np.exp(rng.uniform(0, np.log(MOST_ROWS)))))
            requests.append((form, order[start : start + size]))
            start += size
    rng.shuffle(requests)  # type: ignore[arg-type] - a list is shuffled as it is
    return requests


class Clients:
    """Concurrent clients of one model; each has a connection of its own."""

    def __init__(self, endpoint: Endpoint, batch: Batch, *, clients: int) -> None:
        self._endpoint = endpoint
        self._batch = batch
        self._own = threading.local()
        self._lock = threading.Lock()
        self._clients = clients
        self.tallies: dict[str, Tally] = {}

    def ask(self, requests: Sequence[tuple[str, Places]]) -> dict[str, Tally]:
        """Send all requests; return what came back, by form."""
        self.tallies = {form: Tally() for form in sorted({form for form, _ in requests})}
        with ThreadPoolExecutor(self._clients) as pool, self._channel() as call:
            for done in pool.map(lambda request: self._ask(call, *request), requests):
                del done
        return self.tallies

    @contextlib.contextmanager
    def _channel(self) -> Iterator[grpc.UnaryUnaryMultiCallable]:
        most = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(f"{HOST}:{self._endpoint.grpc_port}", options=most) as channel:
            yield channel.unary_unary(
                METHOD,
                request_serializer=pb.ModelInferRequest.SerializeToString,
                response_deserializer=pb.ModelInferResponse.FromString,
            )

    def _ask(self, call: grpc.UnaryUnaryMultiCallable, form: str, places: Places) -> None:
        rows, tally = self._batch.rows.take(pa.array(places)), self.tallies[form]
        try:
            digest, got = self._grpc(call, form, rows) if form in GRPC else self._rest(form, rows)
            if digest != self._batch.model.digest:
                raise ValueError(f"model {digest} answered, the batch used {self._batch.model.digest}")
        except (OSError, http.client.HTTPException, grpc.RpcError, ValueError, LookupError) as error:
            with self._lock:
                tally.fail(f"{len(places)} rows: {type(error).__name__}: {error}")
            return
        with self._lock:
            tally.note(self._batch.scores[places], got)

    def _grpc(self, call: grpc.UnaryUnaryMultiCallable, form: str, rows: pa.Table) -> tuple[str, Scores]:
        answer = call(grpc_request(self._batch.model.name, rows, raw=GRPC[form]), timeout=TIMEOUT_S)
        return answer.parameters["model_digest"].string_param, grpc_scores(answer)

    def _rest(self, name: str, rows: pa.Table) -> tuple[str, Scores]:
        form = FORMS[name]
        body, headers = form.write(rows)
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection(HOST, self._endpoint.port, timeout=TIMEOUT_S)
        self._own.connection.request("POST", form.path.format(model=self._batch.model.name), body, dict(headers))
        response = self._own.connection.getresponse()
        content = response.read()
        if response.status != http.client.OK:
            raise ValueError(f"status {response.status}: {content[:200].decode(errors='replace')}")
        found = {key.lower(): value for key, value in response.getheaders()}
        return found.get("x-lockstep-model-digest", ""), form.read(found, content)
