"""A canary ended or resumed by one call: the same record that `lockstep canary` writes, so the batch goes along."""

import asyncio
import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import orjson

from lockstep.errors import RequestInvalid
from lockstep.run.canary_state import CanaryEvent, record_event
from lockstep.serving.answering import read_body
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.errors import NoCanary
from lockstep.serving.exchange import Exchange, Reply
from lockstep.serving.json_body import json_kind, parse_json_object
from lockstep.serving.repository_edge import EDGE, MODEL
from lockstep.serving.router import Handler, Route
from lockstep.serving.routing.arms import Canary
from lockstep.serving.routing.following import Follower

NOBODY = "a client of the endpoint"
LONGEST_REASON = 500
# A letter or digit, said so that all readers of the description understand the same.
WORDS = "[0-9A-Za-z\u00c0-\u167f\u3041-\ud7a3]"

Kind = Literal["aborted", "resumed"]


def canary_routes(
    plane: DataPlane, follower: Follower, *, home: Path, clock: Callable[[], dt.datetime] | None = None
) -> list[Route]:
    """Return the routes that end a model's canary, and let it go on.

    Args:
        plane: Knows the arms.
        follower: Looks at once; other processes do at their next look.
        home: Where aborts are kept.
        clock: Present time in UTC.
    """
    now = clock or (lambda: dt.datetime.now(dt.UTC))

    def deciding(kind: Kind) -> Handler:
        async def decide(exchange: Exchange) -> Reply:
            reason = await _reason(exchange, plane)
            name = plane.fleet.slot(exchange.params["name"]).name
            arms = plane.arms.get(name)
            if arms is None or arms.canary is None:
                raise NoCanary(name)
            actor = exchange.trace.client or NOBODY
            event = await asyncio.to_thread(
                _record, arms.canary, home, kind=kind, reason=reason, actor=actor, now=now()
            )
            await follower.look()
            exchange.trace.model, exchange.trace.version = name, str(event.version)
            told = {"name": name, "alias": event.alias, "version": str(event.version), "state": event.kind}
            return Reply(200, orjson.dumps(told))

        return decide

    return [
        Route("POST", f"{MODEL}/canary/abort", deciding("aborted"), EDGE, "admin"),
        Route("POST", f"{MODEL}/canary/resume", deciding("resumed"), EDGE, "admin"),
    ]


def _record(canary: Canary, home: Path, *, kind: Kind, reason: str, actor: str, now: dt.datetime) -> CanaryEvent:
    """Keep what is decided of the version that the challenger's alias names now; repeating it changes nothing."""
    found = canary.companion.source.resolve(None)
    event = CanaryEvent(
        kind=kind,
        at=now,
        actor=actor,
        alias=canary.companion.alias,
        version=found.version,
        digest=found.digest,
        reasons=(reason,),
    )
    return record_event(home, canary.kept_as, event)


async def _reason(exchange: Exchange, plane: DataPlane) -> str:
    """Read why: `{"reason": "..."}`, with which the decision is kept."""
    body = await read_body(plane, exchange)
    asked: dict[str, Any] = parse_json_object(body) if body else {}
    if not asked.keys() <= {"reason"}:
        raise RequestInvalid("the body may have the field reason, and no other")
    reason = asked.get("reason")
    if not isinstance(reason, str):
        raise RequestInvalid(f"reason must be a string that says why, got {json_kind(reason)}")
    if not re.search(WORDS, reason) or len(reason) > LONGEST_REASON:
        raise RequestInvalid(f"reason must say why in words, in up to {LONGEST_REASON} characters")
    return reason.strip()
