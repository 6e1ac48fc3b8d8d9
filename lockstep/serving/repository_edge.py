"""The model repository extension of the Open Inference Protocol, as Triton has it, and one call more: rollback.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

import orjson

from lockstep.errors import RequestInvalid
from lockstep.serving.answering import read_body
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.exchange import Exchange, Reply
from lockstep.serving.json_body import json_kind, parse_json_object
from lockstep.serving.repository import Repository
from lockstep.serving.router import Route
from lockstep.serving.versions import LoadedVersion

EDGE = "open_inference"
MODEL = "/v2/repository/models/{name}"
VERSION_DIGITS = 18


def repository_routes(plane: DataPlane, repository: Repository) -> list[Route]:
    """Return the routes that list and change what is served."""

    async def index(exchange: Exchange) -> Reply:
        asked = await _asked(exchange, plane)
        ready = asked.get("ready", False)
        if not isinstance(ready, bool):
            raise RequestInvalid(f"ready must be a boolean, got {json_kind(ready)}")
        listed, permit = repository_index(repository, ready=ready), exchange.permit
        return _json([each for each in listed if permit is None or permit.sees(each["name"])])

    async def load(exchange: Exchange) -> Reply:
        asked = await _asked(exchange, plane)
        version = await repository.load(exchange.params["name"], version=_version(asked))
        exchange.trace.model, exchange.trace.version = version.identity.name, version.number
        return _json({})

    async def unload(exchange: Exchange) -> Reply:
        await _asked(exchange, plane)
        await repository.unload(exchange.params["name"])
        return _json({})

    async def roll_back(exchange: Exchange) -> Reply:
        await _asked(exchange, plane)
        version = await repository.roll_back(exchange.params["name"])
        exchange.trace.model, exchange.trace.version = version.identity.name, version.number
        return _json({"name": version.identity.name, "version": version.number})

    return [
        Route("POST", "/v2/repository/index", index, EDGE, "read"),
        Route("POST", f"{MODEL}/load", load, EDGE, "admin"),
        Route("POST", f"{MODEL}/unload", unload, EDGE, "admin"),
        Route("POST", f"{MODEL}/rollback", roll_back, EDGE, "admin"),
    ]


def repository_index(repository: Repository, *, ready: bool) -> list[dict[str, str]]:
    """List the versions of all models.

    Args:
        repository: Of the models.
        ready: Whether to leave out models without a loaded version.
    """
    found = []
    for slot in repository.fleet:
        tried = slot.arms.challenger if slot.arms is not None else None
        found += [_listed(version, version is slot.current) for version in slot.versions if version is not tried]
        found += slot.arms.told(ready=ready) if slot.arms is not None else []
        if not slot.versions and not ready:
            found.append({"name": slot.name, "version": "", "state": "UNAVAILABLE", "reason": "unloaded"})
    return found


def _listed(version: LoadedVersion, current: bool) -> dict[str, str]:  # noqa: FBT001
    reason = "" if current else "answers only when asked for by its number"
    return {"name": version.identity.name, "version": version.number, "state": "READY", "reason": reason}


async def _asked(exchange: Exchange, plane: DataPlane) -> dict[str, object]:
    body = await read_body(plane, exchange)
    return parse_json_object(body) if body else {}


def _version(asked: dict[str, object]) -> int | None:
    """Read which version is to be loaded: `{"parameters": {"version": "3"}}`; none: the alias's."""
    parameters = asked.get("parameters")
    if parameters is None:
        return None
    if not isinstance(parameters, dict) or not parameters.keys() <= {"version"}:
        raise RequestInvalid("parameters must be an object and may have the field version, and no other")
    version = parameters.get("version")
    if version is None:
        return None
    whole = isinstance(version, float) and version.is_integer()  # 3.0 is an integer in JSON
    text = str(int(version) if whole else version)
    if isinstance(version, bool) or not (text.isdecimal() and len(text) <= VERSION_DIGITS):
        raise RequestInvalid("parameters.version must be the number of a version")
    return int(text)


def _json(content: object) -> Reply:
    return Reply(200, orjson.dumps(content))
