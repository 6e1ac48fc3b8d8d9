"""What happened to one request so far: for its log line, its headers and the metrics."""

import re
import time
import uuid
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockstep.serving.tracing.request_span import RequestSpan

SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
NEVER = float("inf")
# New ids: random for each process, then counted, which costs a tenth of a random one for each request.
_PROCESS, _number = uuid.uuid4().hex[:20], count()


@dataclass(slots=True)
class Trace:
    """One request on its way through the endpoint.

    Attributes:
        request_id: The client's when it sent a safe one, else a new one.
        edge: Protocol: `invocations`, `open_inference`, `grpc`, `other`.
        model, version: Who answers, once that is known.
        arm: Of a trial, or empty.
        client: Who asks, once that is known.
        rows: Rows of the request, once it is decoded.
        stages_s: Seconds of the stages decode, queue, compute, encode.
        began: When it came, by `time.perf_counter`.
        expires: When nobody waits for the answer any more, by `time.monotonic`.
        span: Where it belongs to in a trace; none: in none.
    """

    request_id: str
    edge: str = "other"
    model: str = ""
    version: str = ""
    arm: str = ""
    client: str = ""
    rows: int = 0
    stages_s: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)
    expires: float = NEVER
    span: "RequestSpan | None" = None

    @property
    def server_timing(self) -> str:
        """The stages as a Server-Timing header: https://www.w3.org/TR/server-timing/."""
        return ", ".join([f"{name};dur={seconds * 1000:.3f}" for name, seconds in self.stages_s.items()])

    def expire_in(self, seconds: float) -> None:
        """Let it expire so long after it came, unless it does sooner."""
        self.expires = min(self.expires, time.monotonic() + seconds - (time.perf_counter() - self.began))


def request_id(given: str | None) -> str:
    """Return the client's request id when it is safe to write into a log, else a new one."""
    return given if given and SAFE_ID.fullmatch(given) else f"{_PROCESS}{next(_number):012x}"
