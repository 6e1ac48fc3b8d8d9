"""The pages of runs, as Airflow's server mounts them: with its own login and its own idea of who may see a DAG."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.api_fastapi.app import create_app, purge_cached_app
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient

from lockstep.report.site import run_site

RUN = "/dags/score_m/runs/2013-08-01/abc"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Run folders of which one has pages, beside files that are none of them."""
    folder = tmp_path / "runs" / "m" / "2013-08-01" / "abc"
    for name in ("report.html", "gx/audit/index.html", "gx/audit/style.css", "plan.json", "staged/part.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"<p>{name}</p>")
    (tmp_path / "secret.html").write_text("secret")
    (folder / "gx" / "out.html").symlink_to(tmp_path / "secret.html")
    return tmp_path / "runs"


def site(runs: Path, *, seen_by: set[str] | None = None) -> FastAPI:
    """The pages for somebody who may see some DAGs; by default the one that there is."""

    def allowed(dag_id: str) -> None:
        if dag_id not in (seen_by if seen_by is not None else {"score_m"}):
            raise HTTPException(403)

    return run_site(
        runs, spec_of=lambda dag_id: dag_id.removeprefix("score_") if "score_" in dag_id else None, allowed=allowed
    )


def test_the_report_and_its_data_docs_are_pages(runs: Path) -> None:
    kinds = {"report.html": "text/html", "gx/audit/index.html": "text/html", "gx/audit/style.css": "text/css"}
    with TestClient(site(runs)) as client:
        for page, kind in kinds.items():
            answer = client.get(f"{RUN}/{page}")
            assert (answer.status_code, answer.text) == (200, f"<p>{page}</p>")
            assert answer.headers["content-type"].startswith(kind)
            assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        f"{RUN}/plan.json",
        f"{RUN}/staged/part.parquet",
        f"{RUN}/gx/../plan.json",
        f"{RUN}/gx/%2e%2e/plan.json",
        f"{RUN}/gx/out.html",
        f"{RUN}/gx",
        f"{RUN}/",
        f"{RUN}/.hidden",
        "/dags/score_m/runs/2013-08-01/none/report.html",
        "/dags/score_m/runs/..%2f2013-08-01/abc/report.html",
        "/dags/score_m/runs/%2e%2e/m/report.html",
        "/dags/score_other/runs/2013-08-01/abc/report.html",
    ],
)
def test_nothing_else_is_shown(runs: Path, path: str) -> None:
    with TestClient(site(runs, seen_by={"score_m", "score_other"})) as client:
        answer = client.get(path)
        assert answer.status_code == 404, answer.text
        assert "secret" not in answer.text


def test_who_may_not_see_the_dag_sees_no_page_of_it(runs: Path) -> None:
    with TestClient(site(runs, seen_by=set())) as client:
        assert client.get(f"{RUN}/report.html").status_code == 403
        assert client.get("/dags/score_m/runs/2013-08-01/none/report.html").status_code == 403


@pytest.fixture
def airflow_app(monkeypatch: pytest.MonkeyPatch, runs: Path) -> Iterator[FastAPI]:
    """Airflow's own application with the plugin in it."""
    monkeypatch.setenv("LOCKSTEP_HOME", str(runs.parent))
    purge_cached_app()
    yield create_app(apps="core")
    purge_cached_app()


def test_airflow_mounts_the_pages_behind_its_login(airflow_app: FastAPI) -> None:
    assert "/lockstep" in {getattr(route, "path", "") for route in airflow_app.routes}
    with TestClient(airflow_app, raise_server_exceptions=False) as client:
        assert client.get(f"/lockstep{RUN}/report.html").status_code == 401
