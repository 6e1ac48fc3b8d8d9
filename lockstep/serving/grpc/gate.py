"""The way in: a call of ModelInfer that has no chance is refused before its message is read.

Reading a message costs turns of the event loop, which under overload the answers need. The model that a call is for
is known only from its message; so a call is turned away unread only where no model has room for one more.
"""

from collections.abc import Mapping
from typing import Any

import grpc

from lockstep.serving.data_plane import DataPlane
from lockstep.serving.errors import NotReady, Overloaded
from lockstep.serving.grpc.calls import Call, Observer, observed
from lockstep.serving.versions import LoadedVersion


class Gate(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Finds the handler of each call.

    Args:
        handlers: By full name of the method.
        scores: Full name of the method that scores rows.
        plane: Has room for more rows, or not.
        observer: Told of refused calls too.
    """

    def __init__(
        self, handlers: Mapping[str, grpc.RpcMethodHandler], *, scores: str, plane: DataPlane, observer: Observer
    ) -> None:
        self._handlers = handlers
        self._scores = scores
        self._plane = plane
        self._observer = observer

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Return what answers a call whose message is not read yet; none: nothing does here."""
        method = handler_call_details.method
        if method == self._scores and (error := self._refusal()) is not None:
            return self._refusing(error)
        return self._handlers.get(method)

    def _refusal(self) -> Overloaded | NotReady | None:
        """Return why a call would be refused whatever its message says; none: it may be answered.

        Counted are versions that answer calls which name none, and those of `versions:`. A version that is only kept
        to go back to does not make room: what runs there takes the time of the others.
        """
        refusal: Overloaded | NotReady | None = None
        try:
            self._plane.admitted.require()
        except Overloaded as error:
            return error
        for slot in self._plane.fleet:
            if slot.current is None:
                return None
            for version in (*slot.answering, *slot.pinned.values()):
                try:
                    version.lane.require_room()
                except (NotReady, Overloaded) as error:  # not ready: the worker that holds it is away
                    refusal = error
                else:
                    return None
        return refusal

    def _refusing(self, error: Overloaded | NotReady) -> grpc.RpcMethodHandler:
        """Return a handler that reads no message; only one for streams can do without."""
        only = self._only_version()

        async def refuse(_unread: Any, call: Call) -> bytes:
            if only is not None:
                call.trace.model, call.trace.version = only.identity.name, only.number
            raise error

        return grpc.stream_unary_rpc_method_handler(observed(self._scores, refuse, self._observer))

    def _only_version(self) -> LoadedVersion | None:
        """Return whom a call is for, by all that is known without its message."""
        slots = list(self._plane.fleet)
        return slots[0].current if len(slots) == 1 else None
