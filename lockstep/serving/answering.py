"""What all HTTP edges share: one way from a request to its answer, and errors without a stack trace."""

import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from functools import partial

from lockstep.errors import LockstepError, ModelNotFound, RegistryError, RegistryUnavailable, RequestInvalid
from lockstep.serving.data_plane import DataPlane, Question
from lockstep.serving.errors import (
    BodyTooSlow,
    ClientGone,
    DeadlinePassed,
    MediaTypeUnsupported,
    ModelUnknown,
    NoCanary,
    NothingToRollBackTo,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    RowsRefused,
)
from lockstep.serving.exchange import Exchange, Headers, Reply
from lockstep.serving.expiry import expire
from lockstep.serving.features.errors import FeatureSourceUnavailable, FeaturesRefused, LookupUnavailable
from lockstep.serving.routing.http_turn import HttpTurn
from lockstep.serving.routing.routed import answer_routed
from lockstep.serving.security.errors import Forbidden, RateLimited, SignersUnknown, Unauthenticated
from lockstep.serving.trace import Trace

CLIENT_CLOSED_REQUEST = 499
INTERNAL_ERROR = 500

# From error to HTTP status; the first class that fits counts. All edges use the same.
STATUSES: tuple[tuple[type[LockstepError], int], ...] = (
    (ModelUnknown, 404),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (RateLimited, 429),
    (SignersUnknown, 503),
    (NothingToRollBackTo, 409),
    (NoCanary, 409),
    (ModelNotFound, 404),
    (RegistryUnavailable, 503),
    (RegistryError, 409),
    (BodyTooSlow, 408),
    (PayloadTooLarge, 413),
    (MediaTypeUnsupported, 415),
    (RequestInvalid, 400),
    (Overloaded, 503),
    (NotReady, 503),
    (DeadlinePassed, 504),
    (ClientGone, CLIENT_CLOSED_REQUEST),
    (RowsRefused, 400),
    (FeaturesRefused, 400),
    (FeatureSourceUnavailable, 503),
    (LookupUnavailable, 503),
)

Describe = Callable[[int, str], bytes]
Decode = Callable[..., Question]

_log = logging.getLogger("lockstep.serving")


def status_of(error: LockstepError) -> int:
    """Return the HTTP status of an error."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), INTERNAL_ERROR)


async def replying(work: Awaitable[Reply], trace: Trace, *, describe: Describe) -> Reply:
    """Await a reply; turn every error into one of the edge's own form.

    Args:
        work: Gives the reply or raises.
        trace: Of the request.
        describe: Writes the body of an error from its status and message.
    """
    headers: Headers = ()
    try:
        return await work
    except LockstepError as error:
        status, message, headers = status_of(error), str(error), _headers_of(error)
    except Exception as error:  # noqa: BLE001 - a client gets an answer whatever happens
        # Without the message: it may quote what the client sent.
        frames = "".join(traceback.format_tb(error.__traceback__))
        _log.error("request %s failed with %s\n%s", trace.request_id, type(error).__name__, frames)
        status = INTERNAL_ERROR
        message = f"internal error; the server's log has it under request id {trace.request_id}"
    return Reply(status, describe(status, message), headers=headers)


def _headers_of(error: LockstepError) -> Headers:
    if isinstance(error, Unauthenticated):
        return (("www-authenticate", error.challenge),)
    retry_after_s = getattr(error, "retry_after_s", None)
    return () if retry_after_s is None else (("retry-after", str(retry_after_s)),)


async def read_body(plane: DataPlane, exchange: Exchange) -> bytes:
    """Read the body of a request within the endpoint's bounds.

    Raises:
        DeadlinePassed: The request expires before its body is here.
        LockstepError: What `Exchange.body` raises.
    """
    limits, expires = plane.limits, exchange.trace.expires
    timeout_s = min(limits.body_timeout_s, expires - time.monotonic())
    try:
        return await exchange.body(plane.arrivals, limit_bytes=limits.body_bytes, timeout_s=timeout_s)
    except BodyTooSlow as error:
        if time.monotonic() < expires:
            raise
        raise DeadlinePassed(predicted=False) from error


async def ask(plane: DataPlane, exchange: Exchange, decode: Decode, *, name: str | None, version: str | None) -> Reply:
    """Read the body, let the data plane answer it, and say in the headers which model did.

    Args:
        plane: Answers.
        exchange: The request.
        decode: Reads the body for the version that answers.
        name: Registered model; none: the default one.
        version: Its number as text; none: the one that answers now.

    Raises:
        RequestInvalid: The request is refused.
        RateLimited: The client asks for too much.
        Overloaded: There is too much to do.
        NotReady: The model is not loaded.
        DeadlinePassed: The answer would come too late.
        ClientGone: Nobody waits for it.
        RowsUnscorable: The model has no finite score for some row.
    """
    trace, stages = exchange.trace, exchange.trace.stages_s
    expire(exchange)
    plane.admitted.require()
    found = plane.find(name, version)
    trace.model, trace.version = found.identity.name, found.number
    # Without a place: who sends slowly, or nothing, must not keep out those who send at once.
    body = await read_body(plane, exchange)
    if plane.arms and not version and (arms := plane.arms.get(found.identity.name)) is not None:
        with plane.admitted:
            return await answer_routed(plane, arms, HttpTurn(plane, exchange, read=decode, body=body))
    with plane.admitted, plane.fleet.find(name, version) as target:
        trace.model, trace.version = target.identity.name, target.number
        target.lane.require_room()
        apart = len(body) > plane.limits.inline_bytes
        clock = time.perf_counter()
        question = await plane.run(partial(decode, target=target), body, apart=apart)
        stages["decode"] = time.perf_counter() - clock
        if exchange.permit is not None:
            exchange.permit.charge_rows(question.rows.num_rows)
        if question.timeout_s is not None:
            trace.expire_in(question.timeout_s)
        outputs = await plane.answer(target, question.rows, trace=trace, gone=exchange.gone)
        clock = time.perf_counter()
        content = await plane.run(question.encode, outputs, apart=apart)
        stages["encode"] = time.perf_counter() - clock
    headers = (*target.headers, *content.headers, ("server-timing", trace.server_timing))
    return Reply(200, content.body, content.media_type, headers)
