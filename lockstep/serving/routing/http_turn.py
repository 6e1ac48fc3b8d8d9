"""A request over HTTP, as `answer_routed` asks for it."""

import time
from collections.abc import Callable
from functools import partial

from lockstep.scoring.backends import Arrays
from lockstep.serving.data_plane import DataPlane, Question
from lockstep.serving.exchange import Exchange, Reply
from lockstep.serving.routing.keys import HEADER, only_key
from lockstep.serving.routing.routed import ARM_HEADER, Decoded
from lockstep.serving.rows import Rows
from lockstep.serving.trace import Trace
from lockstep.serving.versions import LoadedVersion
from lockstep.serving.work import Gone


class HttpTurn:
    """One request over HTTP; see `Turn`.

    Args:
        plane: Decodes and encodes, beside the event loop where there is much of it.
        exchange: The request.
        read: Its edge's decoder, which takes the body and a `target`.
        body: Of the request.
    """

    def __init__(self, plane: DataPlane, exchange: Exchange, *, read: Callable[..., Question], body: bytes) -> None:
        self.trace: Trace = exchange.trace
        self.gone: Gone | None = exchange.gone
        self.nbytes = len(body)
        self._plane = plane
        self._headers = exchange.headers
        self._permit = exchange.permit
        self._read = read
        self._body = body
        self._apart = len(body) > plane.limits.inline_bytes

    @property
    def key(self) -> str | None:
        """The key in the header; raises `RequestInvalid` for one that cannot be read."""
        if HEADER not in self._headers:
            return None
        found = self._headers.get(HEADER)  # none when it is not ASCII
        return only_key([None] if found is None else self._headers.get_all(HEADER))

    async def decode(self, target: LoadedVersion) -> Decoded[Reply]:
        """Decode the body; raises what the edge's decoder does, and `RateLimited`."""
        stages, clock = self.trace.stages_s, time.perf_counter()
        question = await self._plane.run(partial(self._read, target=target), self._body, apart=self._apart)
        stages["decode"] = stages.get("decode", 0.0) + time.perf_counter() - clock
        if self._permit is not None:
            self._permit.charge_rows(question.rows.num_rows)
            self._permit = None  # once, for however many versions it is decoded
        if question.timeout_s is not None:
            self.trace.expire_in(question.timeout_s)
        return Decoded(question.rows, partial(self._encode, question, target))

    def read(self, target: LoadedVersion) -> Rows:
        """Decode the rows for another version."""
        return self._read(self._body, target=target).rows

    async def _encode(  # noqa: PLR0917 - the first two are bound
        self, question: Question, target: LoadedVersion, outputs: Arrays, arm: str
    ) -> Reply:
        clock = time.perf_counter()
        content = await self._plane.run(question.encode, outputs, apart=self._apart)
        self.trace.stages_s["encode"] = time.perf_counter() - clock
        timing = ("server-timing", self.trace.server_timing)
        return Reply(
            200, content.body, content.media_type, (*target.headers, (ARM_HEADER, arm), *content.headers, timing)
        )
