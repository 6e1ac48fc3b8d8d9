"""What of a run is shown as a page, from a disk and from a store."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from lockstep.report.site import HEADERS, page_file, run_site
from lockstep.storage.files import Location, write_whole

RUN = ("churn", "2024-01-02", "abc123")
SHOWN = ("report.html", "gx/index.html", "gx/static/style.css")


@pytest.fixture
def runs(place: Location) -> Location:
    """A run with pages and with what is nobody's business."""
    for name in (*SHOWN, "plan.json", "gx.json", "staging/u00000/x.parquet"):
        write_whole(place.joinpath(*RUN, *name.split("/")), name.encode())
    return place


@pytest.mark.parametrize("page", SHOWN)
def test_reports_and_data_docs_are_shown(runs: Location, page: str) -> None:
    found = page_file(runs, *RUN, page)
    assert found is not None
    assert found.read_text() == page


@pytest.mark.parametrize(
    "parts",
    [
        *[(*RUN, page) for page in ("", "plan.json", "gx.json", "gx", "staging/u00000/x.parquet", "gx/none.html")],
        *[(*RUN, page) for page in ("../abc123/report.html", "gx/../plan.json", "gx/./../plan.json", "/plan.json")],
        ("..", RUN[1], RUN[2], "report.html"),
        ("churn", "2024-01-02/abc123", "gx", "index.html"),
        ("churn", "", "abc123", "report.html"),
    ],
)
def test_nothing_else_of_a_run_is_shown(runs: Location, parts: tuple[str, ...]) -> None:
    assert page_file(runs, *parts) is None


def test_pages_come_with_their_kind_and_headers(runs: Location) -> None:
    app = FastAPI()
    app.mount("/x", run_site(runs, spec_of={"score_churn": "churn"}.get, allowed=lambda: None))
    with TestClient(app) as client:
        base = "/x/dags/score_churn/runs/2024-01-02/abc123"
        for page, kind in zip(SHOWN, ("text/html", "text/html", "text/css"), strict=True):
            answer = client.get(f"{base}/{page}")
            assert (answer.status_code, answer.text) == (200, page)
            assert answer.headers["content-type"].startswith(kind)
            assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
        assert client.get(f"{base}/plan.json").status_code == 404
        assert client.get("/x/dags/other/runs/2024-01-02/abc123/report.html").status_code == 404
