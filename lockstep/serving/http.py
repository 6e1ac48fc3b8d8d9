"""What both edges share: reading a body within bounds, the answer's headers, and errors without a stack trace."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from lockstep.errors import LockstepError, RequestInvalid
from lockstep.serving.data_plane import DataPlane, Decode, Trace
from lockstep.serving.errors import (
    BodyTooSlow,
    MediaTypeUnsupported,
    ModelUnknown,
    Overloaded,
    PayloadTooLarge,
    RowsRefused,
    RowsUnscorable,
)

JSON, CSV = "application/json", "text/csv"
UTF_8 = frozenset({"charset=utf-8", "charset=utf8", ""})
CLIENT_CLOSED_REQUEST = 499
INTERNAL_ERROR = 500

# From error to HTTP status; the first class that fits counts. Both protocols use the same.
STATUSES: tuple[tuple[type[LockstepError], int], ...] = (
    (ModelUnknown, 404),
    (BodyTooSlow, 408),
    (PayloadTooLarge, 413),
    (MediaTypeUnsupported, 415),
    (RequestInvalid, 400),
    (Overloaded, 503),
    (RowsRefused, 400),
    (RowsUnscorable, INTERNAL_ERROR),
)

Describe = Callable[[int, str], bytes]

_log = logging.getLogger("lockstep.serving")


def status_of(error: LockstepError) -> int:
    """Return the HTTP status of an error."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), INTERNAL_ERROR)


def trace_of(request: Request) -> Trace:
    """Return the trace that the observer attached to the request."""
    trace: Trace = request.scope["lockstep.trace"]
    return trace


async def respond(request: Request, work: Awaitable[Response], *, describe: Describe) -> Response:
    """Await an answer; turn every error into a response of the edge's own form.

    Args:
        request: The request that `work` answers.
        work: Gives the response or raises.
        describe: Writes the body of an error from its status and message.
    """
    headers: dict[str, str] = {}
    try:
        return await work
    except ClientDisconnect:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except LockstepError as error:
        status, message = status_of(error), str(error)
        if isinstance(error, Overloaded):
            headers["Retry-After"] = str(error.retry_after_s)
        if isinstance(error, PayloadTooLarge | BodyTooSlow | Overloaded):
            headers["Connection"] = "close"  # the rest of the body is not read
    except Exception as error:  # noqa: BLE001 - a client gets an answer whatever happens
        request_id = trace_of(request).request_id
        # Without the message: it may quote what the client sent.
        frames = "".join(traceback.format_tb(error.__traceback__))
        _log.error("request %s failed with %s\n%s", request_id, type(error).__name__, frames)
        status, message = INTERNAL_ERROR, f"internal error; the server's log has it under request id {request_id}"
    return Response(describe(status, message), status, headers, JSON)


async def ask(plane: DataPlane, request: Request, decode: Decode) -> Response:
    """Read the body, let the data plane answer it, and say in the headers which model did.

    Raises:
        RequestInvalid: The body is refused.
        Overloaded: Too many requests are in progress.
        RowsUnscorable: The model has no finite score for some row.
    """
    trace = trace_of(request)
    with plane.admission():
        body = await read_body(request, limit_bytes=plane.limits.body_bytes, timeout_s=plane.limits.body_timeout_s)
        content = await plane.answer(body, decode, trace=trace)
    timing = ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in trace.stages_s.items())
    return Response(content, headers={**model_headers(plane), "Server-Timing": timing}, media_type=JSON)


def model_headers(plane: DataPlane) -> dict[str, str]:
    """Return the headers that name the model, the same on both edges."""
    identity = plane.model.identity
    return {
        "X-Lockstep-Model-Name": identity.name.encode("ascii", "replace").decode(),
        "X-Lockstep-Model-Version": str(identity.version),
        "X-Lockstep-Model-Digest": identity.digest,
    }


async def read_body(request: Request, *, limit_bytes: int, timeout_s: float) -> bytes:
    """Read a request body.

    Raises:
        MediaTypeUnsupported: It is compressed.
        PayloadTooLarge: It is larger than `limit_bytes`, by its header or in fact.
        BodyTooSlow: It does not arrive in time.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise MediaTypeUnsupported("Content-Encoding", got=encoding[:40], expected="no compression")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limit_bytes:
        raise PayloadTooLarge(limit_bytes=limit_bytes)
    parts, size = [], 0
    try:
        async with asyncio.timeout(timeout_s):
            async for part in request.stream():
                size += len(part)
                if size > limit_bytes:
                    raise PayloadTooLarge(limit_bytes=limit_bytes)
                parts.append(part)
    except TimeoutError as error:
        raise BodyTooSlow(timeout_s=timeout_s) from error
    return b"".join(parts)


def media_type(header: str | None, known: Mapping[str, Decode], *, default: str | None = None) -> Decode:
    """Pick the decoder of a Content-Type header.

    Args:
        header: Its value, if the request has one.
        known: Media type to decoder.
        default: Media type to assume when there is no header.

    Raises:
        MediaTypeUnsupported: Another media type, another charset than UTF-8, or another parameter.
    """
    text = header or default or ""
    kind, *parameters = (part.strip() for part in text.split(";"))
    expected = " or ".join(known) + ", with no parameter but charset=utf-8"
    decode = known.get(kind.lower())
    if decode is None or not UTF_8.issuperset(p.replace('"', "").lower() for p in parameters):
        raise MediaTypeUnsupported("Content-Type", got=text[:80], expected=expected)
    return decode
