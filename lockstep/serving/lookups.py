"""The edge of lookups: predictions that were published before, by key. No model runs."""

import datetime as dt
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from lockstep.errors import RequestInvalid
from lockstep.serving.answering import read_body
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.errors import ModelUnknown
from lockstep.serving.exchange import JSON, Accepted, Exchange, Reply
from lockstep.serving.expiry import expire
from lockstep.serving.features.lookup import Lookup, LookupRequest, OnlineReader, Provenance
from lockstep.serving.json_body import json_kind, parse_json_object
from lockstep.serving.router import Route

EDGE = "lookup"
PATH = "/models/{name}/lookup"
# Keys of one request: the answer is put together on the event loop.
MOST_KEYS = 1000
TIMEOUT_S = 1.0
FIELDS = frozenset({"keys", "as_of", "max_age_s"})


@dataclass(frozen=True)
class LookupTable:
    """Where the published predictions of a model are looked up.

    Attributes:
        reader: Of the store.
        table: Published table.
    """

    reader: OnlineReader
    table: str


def lookup_routes(plane: DataPlane, tables: Mapping[str, LookupTable]) -> list[Route]:
    """Return the route of lookups; none when no model has any.

    Args:
        plane: Its bounds hold for lookups too.
        tables: By registered model.
    """
    bodies = Accepted({JSON: read_request}, default=JSON)

    async def look_up(exchange: Exchange) -> Reply:
        name, trace = exchange.params["name"], exchange.trace
        expire(exchange)
        read = bodies.reader(exchange.header("content-type"))
        table = tables.get(name)
        if table is None:
            raise ModelUnknown(name, None, served="lookups for " + ", ".join(map(repr, tables)))
        trace.model = name
        body = await read_body(plane, exchange)
        with plane.admitted:
            request: LookupRequest = read(body, table=table.table)
            trace.rows = request.rows
            if exchange.permit is not None:
                exchange.permit.charge_rows(request.rows)
            left_s = min(TIMEOUT_S, trace.expires - time.monotonic())
            clock = time.perf_counter()
            found = await table.reader.lookup(request, timeout_s=max(left_s, 0.0))
            trace.stages_s["lookup"] = time.perf_counter() - clock
        return Reply(200, encode(found), headers=(("server-timing", trace.server_timing),))

    return [Route("POST", PATH, look_up, EDGE, "infer")] if tables else []


def read_request(body: bytes, *, table: str) -> LookupRequest:
    """Read the body of a request.

    Raises:
        RequestInvalid: It is no lookup.
    """
    content = parse_json_object(body)
    unknown = sorted(content.keys() - FIELDS)
    if unknown or "keys" not in content:
        got = f"the field {unknown[0][:40]!r}" if unknown else "no field 'keys'"
        raise RequestInvalid(f"expected an object with the fields keys, as_of and max_age_s, got {got}")
    keys = _columns(content["keys"])
    if len({len(values) for values in keys.values()}) > 1:
        raise RequestInvalid("keys: its columns differ in length")
    request = LookupRequest(table, keys, _day(content.get("as_of")), _age(content.get("max_age_s")))
    if not 0 < request.rows <= MOST_KEYS:
        raise RequestInvalid(
            f"keys: expected 1 to {MOST_KEYS}, got {request.rows}; ask for the rest in another request"
        )
    return request


def _columns(keys: Any) -> dict[str, Sequence[Any]]:
    """Return the keys by column; they come so, or as one object for each row."""
    if isinstance(keys, dict) and keys and all(isinstance(values, list) for values in keys.values()):
        return keys
    rows = [keys] if isinstance(keys, dict) else keys
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and row for row in rows):
        raise RequestInvalid(
            f"keys: expected an object of lists, one for each key column, or a list of objects, got {json_kind(keys)}"
        )
    names = list(rows[0])
    for number, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise RequestInvalid(f"keys: object {number} has other fields than the first")
    return {name: [row[name] for row in rows] for name in names}


def _day(text: Any) -> dt.date | None:
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise RequestInvalid(f"as_of: expected a day as YYYY-MM-DD, got {json_kind(text)}") from error


def _age(value: Any) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise RequestInvalid("max_age_s: expected a number of seconds, 0 or more")
    return float(value)


def encode(found: Lookup) -> bytes:
    """Write an answer: for each key in order its state, prediction and origin; NaN is null."""
    rows = found.predictions.to_pylist() or [{}] * len(found.states)
    answers = [
        {"state": state, "prediction": row if state == "found" else None, "origin": _origin(origin)}
        for state, row, origin in zip(found.states, rows, found.provenance, strict=True)
    ]
    return orjson.dumps({"rows": answers}, default=str, option=orjson.OPT_UTC_Z)


def _origin(origin: Provenance | None) -> dict[str, Any] | None:
    if origin is None:
        return None
    return {
        "as_of": origin.as_of,
        "age_s": origin.age_s,
        "published_at": origin.published_at,
        "model_name": origin.model_name,
        "model_version": origin.model_version,
        "model_digest": origin.model_digest,
        "run_key": origin.run_key,
    }
