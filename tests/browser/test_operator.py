"""A day of an operator in Airflow's own pages: try a version, backfill, look, promote, roll back. Nothing is simulated.

Each step works on what the step before it left, as in life, so the steps are fixtures and the tests look at them.
"""

import datetime as dt
import json
import re
from typing import Any

import duckdb
import pytest
from playwright.sync_api import expect

from tests.browser.airflow_pages import AirflowPages, Watch, choose, fill, switch
from tests.browser.customers import (
    BACKFILLED,
    CHALLENGER,
    CHAMPION,
    FIRST_DAY,
    ODD_DAY,
    ROWS,
    SPEC_NAME,
    TABLE,
    registry,
)
from tests.integration.stacks import Stack

# The sum of all steps on a busy machine; a quiet one takes a fraction.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SCORE, PROMOTE, ROLLBACK = f"score_{SPEC_NAME}", f"promote_{SPEC_NAME}", f"rollback_{SPEC_NAME}"
RUN_S, BACKFILL_S = 900.0, 1700.0
WHY = "it ranks the spring campaign better"


def live(stack: Stack) -> dict[dt.date, tuple[int, set[int]]]:
    """Rows and model versions of every live day, from the warehouse itself."""
    file = stack.home / "warehouse.duckdb"
    if not file.exists():
        return {}
    with duckdb.connect(str(file), read_only=True) as connection:
        known = connection.execute("SELECT table_name FROM information_schema.tables").fetchall()
        if (TABLE,) not in known:
            return {}
        found = connection.execute(f"SELECT day, count(*), list(DISTINCT model_version) FROM {TABLE} GROUP BY day")
        return {day: (rows, set(versions)) for day, rows, versions in found.fetchall()}


def run_facts(stack: Stack, run_id: str, *, task: str) -> dict[str, Any]:
    path = f"/dags/{SCORE}/dagRuns/{run_id}/taskInstances/{task}/xcomEntries/return_value"
    value = stack.api().call("GET", path)["value"]
    facts: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
    return facts


def trigger_first_day(airflow: AirflowPages, *, dry_run: bool) -> str:
    form = airflow.open_form(SCORE)
    fill(form, model="@challenger", date=FIRST_DAY.isoformat())
    choose(form, field="Checks", value="strict")
    if dry_run:
        switch(form, "dry_run")
        airflow.picture("trigger-form")
    airflow.submit(form, "Trigger")
    return airflow.triggered_run(SCORE)


@pytest.fixture(scope="module")
def tried(airflow: AirflowPages, stack: Stack) -> dict[str, Any]:
    """The first day with the challenger and strict checks: a dry run, then in earnest."""
    airflow.page.goto("/dags")
    expect(airflow.page.get_by_role("link", name=SCORE)).to_be_visible()
    airflow.picture("dags")
    run_id = trigger_first_day(airflow, dry_run=True)
    dry = {"state": airflow.run_ends(SCORE, run_id, within_s=RUN_S), "live": live(stack), "run_id": run_id}
    run_id = trigger_first_day(airflow, dry_run=False)
    state = airflow.run_ends(SCORE, run_id, within_s=RUN_S)
    return {"dry": dry, "state": state, "live": live(stack), "plan": run_facts(stack, run_id, task="plan")}


@pytest.fixture(scope="module")
def promoted(airflow: AirflowPages, stack: Stack, tried: dict[str, Any]) -> dict[str, Any]:
    """A backfill of ten days that names its version; while it runs, the other version becomes champion."""
    page = airflow.page
    form = airflow.open_form(SCORE)
    form.get_by_text("Backfill", exact=True).click()
    airflow.pick_moment(form, label="From", day=BACKFILLED[0])
    airflow.pick_moment(form, label="To", day=BACKFILLED[-1] + dt.timedelta(days=1))
    form.locator("[name=max_active_runs]").fill("4")
    expect(form).to_contain_text(f"{len(BACKFILLED)} runs will be triggered")
    form.get_by_text("Override parameters on existing runs", exact=True).click()  # without it none of the form is sent
    expect(form.get_by_role("checkbox", name="Override parameters on existing runs")).to_be_checked()
    airflow.picture("backfill-form")
    fill(form, model=str(CHAMPION))
    airflow.submit(form, "Run Backfill")
    page.goto(f"/dags/{SCORE}")
    expect(page.get_by_text("Backfill in progress")).to_be_visible()

    form = airflow.open_form(PROMOTE)
    fill(form, reason=WHY)
    airflow.submit(form, "Trigger")
    run_id = airflow.triggered_run(PROMOTE)
    question = page.get_by_role("link", name=f"Shall {SPEC_NAME} version {CHALLENGER} become @champion?")
    airflow.look(lambda: _asked(airflow, question.count), {"asked"}, within_s=RUN_S)
    before = champion(stack)
    question.click()
    expect(page.get_by_role("button", name="Approve")).to_be_visible()
    airflow.picture("approval")
    text = page.get_by_role("table").last.inner_text()
    page.get_by_role("button", name="Approve").click()
    state = airflow.run_ends(PROMOTE, run_id, within_s=RUN_S)
    return {"before": before, "question": text, "state": state, "after": champion(stack)}


def _asked(airflow: AirflowPages, count: Any) -> str:
    airflow.page.goto("/required_actions")
    airflow.page.get_by_role("heading", name="Required Action").wait_for()
    return "asked" if count() else ""


def champion(stack: Stack) -> int:
    return int(registry(stack.home).get_model_version_by_alias(SPEC_NAME, "champion").version)


@pytest.fixture(scope="module")
def backfilled(airflow: AirflowPages, stack: Stack, promoted: dict[str, Any]) -> dict[str, Any]:
    """The backfill as the list of its runs shows it, until all have ended."""
    airflow.page.goto(f"/dags/{SCORE}")
    expect(airflow.page.get_by_role("link", name="pin_model")).to_be_visible()
    airflow.picture("backfill-running")
    states: dict[str, int] = {}

    def count() -> str:  # a page that is loaded again may show its table before the rows
        states.update(ended(airflow))
        return f"{sum(states.values())} ended"

    airflow.look(count, {f"{len(BACKFILLED)} ended"}, within_s=BACKFILL_S)
    airflow.page.goto(f"/dags/{SCORE}")
    expect(airflow.page.get_by_role("link", name="Backfills")).to_be_visible()
    airflow.picture("backfill-finished")
    runs = stack.api().call("GET", f"/dags/{SCORE}/dagRuns", run_type="backfill", limit=50)["dag_runs"]
    return {"states": states, "live": live(stack), "asked": {run["conf"].get("model") for run in runs}}


def ended(airflow: AirflowPages) -> dict[str, int]:
    """Count the runs of the backfill that the page shows as ended, by how."""
    page = airflow.page
    page.goto(f"/dags/{SCORE}/runs?run_type=backfill")
    page.get_by_role("table").wait_for()
    rows = page.get_by_role("table").get_by_role("row").all_inner_texts()
    return {state: sum(state.lower() in row.lower() for row in rows) for state in ("Success", "Failed")}


def test_dry_run_from_the_form_checks_everything_and_publishes_nothing(tried: dict[str, Any]) -> None:
    assert tried["dry"]["state"] == "Success"
    assert tried["dry"]["live"] == {}


def test_what_the_form_says_is_what_runs(tried: dict[str, Any], stack: Stack) -> None:
    assert tried["state"] == "Success"
    assert tried["live"] == {FIRST_DAY: (ROWS, {CHALLENGER})}
    assert tried["plan"]["model_version"] == CHALLENGER
    run = stack.api().call("GET", f"/dags/{SCORE}/dagRuns/{tried['dry']['run_id']}")
    form = {"model": "@challenger", "date": FIRST_DAY.isoformat(), "checks": "strict", "dry_run": True}
    assert form.items() <= run["conf"].items()


def test_approval_moves_the_alias_and_says_to_what(promoted: dict[str, Any]) -> None:
    assert (promoted["before"], promoted["state"], promoted["after"]) == (CHAMPION, "Success", CHALLENGER)
    for text in (f"version {CHAMPION}", f"version {CHALLENGER}", WHY):
        assert text in promoted["question"]


def test_backfill_scores_each_day_with_the_version_that_was_asked_for(backfilled: dict[str, Any]) -> None:
    assert backfilled["states"] == {"Success": len(BACKFILLED), "Failed": 0}
    assert backfilled["asked"] == {str(CHAMPION)}
    assert backfilled["live"] == {day: (ROWS, {CHAMPION}) for day in BACKFILLED}


def test_buttons_of_tasks_lead_to_report_data_docs_and_mlflow(
    airflow: AirflowPages, stack: Stack, backfilled: dict[str, Any], watch: Watch
) -> None:
    day = BACKFILLED[-2]
    run_id = backfill_run(stack, day)
    page = airflow.follow(SCORE, run_id, task="report", button="Report")
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"{SPEC_NAME} {day:%A}, {day.day} {day:%B %Y}")
    expect(page.get_by_text("Published", exact=True).first).to_be_visible()
    airflow.picture("report")

    page = airflow.follow(SCORE, run_id, task="audit", button="Data docs")
    expect(page.get_by_text("Expectation Validation Result")).to_be_visible()
    expect(page.get_by_text("values must be greater than or equal to")).to_be_visible()
    airflow.picture("data-docs", of=page.locator("body"))

    mlflow = airflow.follow(SCORE, run_id, task="pin_model", button="Model version in MLflow")
    expect(mlflow).to_have_url(f"http://127.0.0.1:{stack.mlflow}/#/models/{SPEC_NAME}/versions/{CHAMPION}")
    expect(mlflow.get_by_text(re.compile(f"^Version {CHAMPION}$")).first).to_be_visible()
    mlflow.close()
    assert watch.complaints == []


def test_the_report_of_an_odd_day_shows_what_moved(
    airflow: AirflowPages, stack: Stack, backfilled: dict[str, Any]
) -> None:
    page = airflow.follow(SCORE, backfill_run(stack, ODD_DAY), task="report", button="Report")
    expect(page.get_by_text("Published", exact=True).first).to_be_visible()
    warned = page.get_by_role("region", name="Warnings").get_by_role("listitem").all_inner_texts()
    for column in ("age", "risk"):
        assert any(text.startswith(f"drift.trailing.ks on {column}:") for text in warned), warned
    drift = page.get_by_role("region", name="Drift")
    expect(drift.get_by_role("img", name="Drift of risk against training")).to_be_visible()
    assert drift.get_by_role("row", name="age").get_by_role("cell").count() > 6
    airflow.picture("drift", of=drift)


def backfill_run(stack: Stack, day: dt.date) -> str:
    runs = stack.api().call("GET", f"/dags/{SCORE}/dagRuns", run_type="backfill", limit=50)["dag_runs"]
    (run_id,) = [run["dag_run_id"] for run in runs if run["logical_date"].startswith(day.isoformat())]
    return str(run_id)


def test_reports_are_behind_the_login(airflow: AirflowPages, stack: Stack, backfilled: dict[str, Any]) -> None:
    plan = run_facts(stack, backfill_run(stack, BACKFILLED[0]), task="plan")
    report = f"/lockstep/dags/{SCORE}/runs/{plan['partition']}/{plan['run_key']}/report.html"
    assert airflow.page.request.get(report).status == 200
    browser = airflow.page.context.browser
    assert browser is not None
    stranger = browser.new_context(base_url=f"http://127.0.0.1:{stack.airflow}")
    assert stranger.request.get(report).status in {401, 403}
    stranger.close()


def test_rollback_makes_the_earlier_rows_live_again(
    airflow: AirflowPages, stack: Stack, backfilled: dict[str, Any]
) -> None:
    form = airflow.open_form(ROLLBACK)
    fill(form, first_day=FIRST_DAY.isoformat())
    airflow.picture("rollback-form")
    airflow.submit(form, "Trigger")  # nobody has to say why
    assert airflow.run_ends(ROLLBACK, airflow.triggered_run(ROLLBACK), within_s=RUN_S) == "Success"
    others = {day: (ROWS, {CHAMPION}) for day in BACKFILLED if day != FIRST_DAY}
    assert live(stack) == {FIRST_DAY: (ROWS, {CHALLENGER}), **others}


def test_backfill_is_listed_as_complete(airflow: AirflowPages, backfilled: dict[str, Any]) -> None:
    def completed() -> str:
        airflow.page.goto(f"/dags/{SCORE}/backfills")
        row = airflow.page.get_by_role("row").filter(has_text=BACKFILLED[0].isoformat())
        return row.get_by_role("cell").nth(4).inner_text().strip()[:2]

    assert airflow.look(completed, {"20"}, within_s=120.0) == "20"


def test_the_browser_stayed_on_this_machine(airflow: AirflowPages, watch: Watch) -> None:
    airflow.page.goto("/")
    airflow.page.get_by_role("link", name="Dags", exact=True).wait_for()
    assert watch.elsewhere == []
