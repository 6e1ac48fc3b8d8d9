"""The reports and data docs of run folders as web pages, for Airflow's server; nothing else of a run is shown."""

import mimetypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse, Response

from lockstep.run.folder import REPORT
from lockstep.storage.files import Location
from lockstep.storage.objects import ObjectPath

DATA_DOCS = "gx"
# A page may use what it brings with it, and load nothing from elsewhere.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def run_site(runs_root: Location, *, spec_of: Callable[[str], str | None], allowed: Callable[..., Any]) -> FastAPI:
    """Return the pages as an application to be mounted.

    Args:
        runs_root: Folder of all run folders.
        spec_of: Turns the id of a DAG into the name of its spec; none: not one of ours.
        allowed: Dependency that refuses who may not see the DAG called `dag_id` in the path.
    """
    site = FastAPI(title="Lockstep runs", docs_url=None, redoc_url=None, openapi_url=None)

    @site.get("/dags/{dag_id}/runs/{partition}/{run_key}/{page:path}", dependencies=[Depends(allowed)])
    def page_of_run(*, dag_id: str, partition: str, run_key: str, page: str) -> Response:
        spec = spec_of(dag_id)
        file = None if spec is None else page_file(runs_root, spec, partition, run_key, page)
        if file is None:
            raise HTTPException(404, f"run {run_key} of {partition} has no page {page!r}; it may have been vacuumed")
        if isinstance(file, Path):
            return FileResponse(file, headers=HEADERS)
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return Response(file.read_bytes(), headers=HEADERS, media_type=kind)

    return site


def page_file(runs_root: Location, *parts: str) -> Location | None:
    """Return the file of a page, if there is such a page and it may be shown.

    Args:
        runs_root: Folder of all run folders.
        parts: Spec, partition, run key, and the page relative to the run folder.
    """
    if any(not part or part.startswith((".", "/")) for part in parts) or any("/" in part for part in parts[:3]):
        return None
    if isinstance(runs_root, ObjectPath):
        page = parts[3].split("/")
        shown = parts[3] == REPORT or page[0] == DATA_DOCS
        if not shown or {"..", ".", ""} & set(page):
            return None
        stored = runs_root.joinpath(*parts)
        return stored if stored.is_file() else None
    folder = runs_root.joinpath(*parts[:3]).resolve()
    file = folder.joinpath(parts[3]).resolve()
    shown = file == folder / REPORT or file.is_relative_to(folder / DATA_DOCS)
    return file if shown and folder.is_relative_to(runs_root.resolve()) and file.is_file() else None
