"""The routes of the page."""

import contextlib
import datetime as dt
import time
from pathlib import Path

import orjson

from lockstep.serving.data_plane import DataPlane
from lockstep.serving.exchange import Exchange, Reply
from lockstep.serving.metrics import merged
from lockstep.serving.router import Route
from lockstep.serving.status.figures import Figures, figures
from lockstep.serving.workers.shared_metrics import all_snapshots

PAGE, DATA = "/status", "/status.json"
HTML = "text/html; charset=utf-8"
FRESH = (("cache-control", "no-store"),)
# `?refresh=off` keeps a page as it is.
REFRESH, OFF = "refresh", "off"


def status_routes(plane: DataPlane, *, folder: Path | None = None) -> list[Route]:
    """Return the routes of the status page.

    Args:
        plane: Whose models and numbers to tell.
        folder: Where the other workers of the endpoint write theirs; none: there are no others.
    """
    began = dt.datetime.fromtimestamp(time.time() if folder is None else _began(folder), dt.UTC)

    def found() -> Figures:
        own = plane.metrics.snapshot()
        total = merged([own] if folder is None else all_snapshots(folder, own))
        return figures(plane, total, since=began, now=dt.datetime.now(dt.UTC))

    async def data(_: Exchange) -> Reply:
        return Reply(200, orjson.dumps(found()), headers=FRESH)

    async def page(exchange: Exchange) -> Reply:
        from lockstep.serving.status.page import HEADERS, render  # with a template engine, when somebody looks

        refreshing = exchange.query.get(REFRESH) != OFF
        return Reply(200, render(found(), refreshing=refreshing), HTML, (*FRESH, *HEADERS))

    return [Route("GET", PAGE, page, "other", "metrics"), Route("GET", DATA, data, "other", "metrics")]


def _began(folder: Path) -> float:
    """Return when the endpoint began: its workers' oldest file is its configuration, which nobody writes again."""
    times = [time.time()]
    for each in folder.iterdir():
        with contextlib.suppress(OSError):  # one that a worker has just replaced
            times.append(each.stat().st_mtime)
    return min(times)
