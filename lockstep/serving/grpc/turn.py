"""A call of ModelInfer, as `answer_routed` asks for it."""

import time
from collections.abc import Callable
from functools import partial

from lockstep.scoring.backends import Arrays
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.calls import Call
from lockstep.serving.grpc.codec import GrpcInfer, decode_infer, encode_infer
from lockstep.serving.grpc.wire import parse_infer
from lockstep.serving.routing.keys import HEADER, only_key
from lockstep.serving.routing.routed import ARM_HEADER, Decoded
from lockstep.serving.rows import Rows
from lockstep.serving.trace import Trace
from lockstep.serving.versions import LoadedVersion
from lockstep.serving.work import Gone


class GrpcTurn:
    """One call; see `Turn`.

    Args:
        plane: Decodes and encodes, beside the event loop where there is much of it.
        call: The call, whose trailing metadata says who answered.
        request: An `inference.ModelInferRequest`; a large one is not parsed yet.
        charge: Told the rows, once they are known; may raise. None: nobody counts them.
    """

    gone: Gone | None = None

    def __init__(
        self,
        plane: DataPlane,
        call: Call,
        *,
        request: pb.ModelInferRequest | bytes,
        charge: Callable[[int], None] | None = None,
    ) -> None:
        self.trace: Trace = call.trace
        self.nbytes = len(request) if isinstance(request, bytes) else request.ByteSize()
        self._plane = plane
        self._call = call
        self._request = request
        self._charge = charge
        self._apart = isinstance(request, bytes)

    @property
    def key(self) -> str | None:
        """The key in the metadata; raises `RequestInvalid` when there are several."""
        found = [value for name, value in self._call.metadata if name == HEADER]
        return only_key([value if isinstance(value, str) else None for value in found])

    async def decode(self, target: LoadedVersion) -> Decoded[bytes]:
        """Decode the message; raises `RequestInvalid` and `RateLimited`."""
        stages, clock = self.trace.stages_s, time.perf_counter()
        asked = await self._plane.run(self._asked, target, apart=self._apart)
        stages["decode"] = stages.get("decode", 0.0) + time.perf_counter() - clock
        if self._charge is not None:
            self._charge(asked.request.rows.num_rows)
            self._charge = None  # once, for however many versions it is decoded
        return Decoded(asked.request.rows, partial(self._encode, asked, target))

    def read(self, target: LoadedVersion) -> Rows:
        """Decode the rows for another version."""
        return self._asked(target).request.rows

    def _asked(self, target: LoadedVersion) -> GrpcInfer:
        given = self._request
        return decode_infer(parse_infer(given) if isinstance(given, bytes) else given, target.signature)

    async def _encode(  # noqa: PLR0917 - the first two are bound
        self, asked: GrpcInfer, target: LoadedVersion, outputs: Arrays, arm: str
    ) -> bytes:
        def encode(scores: Arrays) -> bytes:
            return bytes(encode_infer(target.identity, asked, scores).SerializeToString())

        clock = time.perf_counter()
        answer = await self._plane.run(encode, outputs, apart=self._apart)
        self.trace.stages_s["encode"] = time.perf_counter() - clock
        timing = ("server-timing", self.trace.server_timing)
        self._call.headers = (*target.headers, (ARM_HEADER, arm), timing)
        return answer
