"""The site of docs/ in Chromium: it asks for nothing elsewhere, complains of nothing, and its search finds words."""

import functools
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "docs" / "bin" / "python"
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="no environment for the site: make setup-docs")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture(scope="module")
def site() -> Path:
    """The site, built as `make docs` does."""
    done = subprocess.run(
        [PYTHON, "-m", "tools.docs.build"], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "site"


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(params=["server", "disk"])
def start(request: pytest.FixtureRequest, site: Path, served: str) -> str:
    """Where the site begins, for both ways to read it."""
    return served if request.param == "server" else f"{site.as_uri()}/"


@pytest.fixture
def page(chromium: Browser, start: str) -> Iterator[Page]:
    """A tab; in the end nothing went wrong in it, and nothing was asked for elsewhere."""
    told: list[str] = []
    asked: list[str] = []
    page = chromium.new_page(viewport={"width": 1360, "height": 900}, color_scheme="light")
    page.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda each: asked.append(each.url))
    page.on("response", lambda answer: told.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    yield page
    page.close()
    assert told == []
    assert [url for url in asked if not url.startswith((start, "data:", "blob:"))] == []


def test_search_finds_a_word_and_leads_to_it(page: Page, start: str) -> None:
    page.goto(f"{start}index.html")
    expect(page.get_by_role("heading", name="Lockstep", level=1)).to_be_visible()
    page.get_by_role("button", name="Search").first.click()
    page.get_by_role("combobox", name="Search").fill("LS7002")
    page.get_by_role("option", name="LS7002").first.click()
    expect(page).to_have_url(f"{start}errors.html?h=LS7002#ls7002")


def test_pages_of_every_section_open(page: Page, start: str) -> None:
    for name in ("index", "reference/spec", "reference/commands", "benchmarks", "architecture", "adr/0041-docs-site"):
        page.goto(f"{start}{name}.html")
        expect(page.get_by_role("heading", level=1).first).to_be_visible()
        pictures = page.locator("article img").evaluate_all(
            "all => all.map(each => each.complete && each.naturalWidth)"
        )
        assert all(pictures), name


def test_the_reader_chooses_dark_and_it_stays(page: Page, start: str) -> None:
    def ground() -> str:
        return str(page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor"))

    page.goto(f"{start}index.html")
    assert ground() == "rgb(255, 255, 255)"
    page.get_by_title("Switch to light mode").click()
    page.get_by_title("Switch to dark mode").click()
    dark = ground()
    assert max(int(part) for part in dark.removeprefix("rgb(").removesuffix(")").split(",")) < 40
    page.goto(f"{start}architecture.html")
    assert ground() == dark


def test_nothing_is_wider_than_a_telephone(page: Page, start: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for name in ("index", "reference/spec", "benchmarks", "comparison"):
        page.goto(f"{start}{name}.html")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
