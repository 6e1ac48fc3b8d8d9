"""The services of `lockstep up` over a small installation, and a browser that is logged in to their Airflow."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from lockstep.services.credentials import ADMIN
from lockstep.services.ports import free_port
from tests.browser.airflow_pages import SIZE, AirflowPages, Watch
from tests.browser.customers import SPEC_NAME, build_installation
from tests.integration.stacks import Stack, eventually, up
from tools.browser import REMEDY, find_chromium, problem_of

PARSE_TIMEOUT_S = 120.0
# Pages of a busy machine are slow; nothing waits longer than it must.
PAGE_TIMEOUT_MS = 60_000
# No name but the loopback interface's can be resolved, whatever a page asks for.
LOOPBACK_ONLY = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
FAMILIES = ("maintain", "promote", "rollback", "score")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here; without a browser skip it, with one line in the summary."""
    missing = find_chromium(os.environ) is None
    skip = pytest.mark.skip(f"{problem_of(os.environ) or 'no Chromium'}: {REMEDY}")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if missing:
                item.add_marker(skip)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium; Playwright has none of its own and fetches none."""
    program = find_chromium(os.environ)
    assert program is not None, "the tests are skipped without one"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[LOOPBACK_ONLY])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def stack(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The running services, whose Airflow knows all DAGs."""
    root = tmp_path_factory.mktemp("browser")
    home = root / "home"
    build_installation(home)
    settings = {"LOCKSTEP_MODELS": str(home / "models")}
    stack = Stack(home, free_port(), free_port(), root / "up.log", settings)
    with up(stack):
        api, wanted = stack.api(), {f"{family}_{SPEC_NAME}" for family in FAMILIES}

        def are_there() -> bool:
            return wanted <= {dag["dag_id"] for dag in api.call("GET", "/dags")["dags"]}

        assert eventually(are_there, within_s=PARSE_TIMEOUT_S), stack.text()[-3000:]
        yield stack


@pytest.fixture(scope="module")
def watch() -> Watch:
    """What the browser asks for elsewhere, and what our pages complain about."""
    return Watch()


@pytest.fixture(scope="module")
def airflow(chromium: Browser, stack: Stack, watch: Watch) -> Iterator[AirflowPages]:
    """A tab that is logged in."""
    pictures = os.environ.get("LOCKSTEP_PICTURES")
    context = chromium.new_context(viewport=SIZE, base_url=f"http://127.0.0.1:{stack.airflow}", color_scheme="light")
    context.set_default_timeout(PAGE_TIMEOUT_MS)
    expect.set_options(timeout=PAGE_TIMEOUT_MS)
    watch.attach(context)
    pages = AirflowPages(context.new_page(), Path(pictures).absolute() if pictures else None)
    pages.log_in(ADMIN, stack.password())
    yield pages
    context.close()
