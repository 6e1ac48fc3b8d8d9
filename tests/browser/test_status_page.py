"""The status page of a real endpoint with two workers, as a browser shows it: numbers, colours, a narrow screen."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, Page, expect

from lockstep.serving.local_endpoint import ready_url
from tests.browser.customers import SPEC_NAME, build_installation
from tests.integration.stacks import Stack, eventually

START_S = 120.0
SENT, ROWS, BAD = 20, 3, 2
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
CONFIG = f"""
models: [{{spec: {SPEC_NAME}, versions: [2]}}]
workers: 2
port: 0
"""
# Of each piece of text the ratio of its colour to what is behind it, by WCAG 2.
CONTRASTS = """() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => { while (e) { const c = parts(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c; e = e.parentElement; } return [255, 255, 255]; };
  const says = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  const texts = [...document.querySelectorAll("body *")].filter(says);
  return texts.map(e => { const a = light(parts(getComputedStyle(e).color)), b = light(behind(e));
    return [e.textContent.trim().slice(0, 40), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]; });
}"""


class Endpoint:
    """A running `lockstep serve`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._address = urlparse(url)

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(str(self._address.hostname), int(self._address.port or 0), timeout=30)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    home = tmp_path_factory.mktemp("status")
    build_installation(home)
    stack = Stack(home, 0, 0, home / "serve.log", {"LOCKSTEP_MODELS": str(home / "models")})
    config = home / "serving.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    command = [sys.executable, "-m", "lockstep", "serve", "--config", str(config)]
    with stack.log.open("wb") as stream:
        process = subprocess.Popen(command, env=stack.environment(), cwd=home, stdout=stream, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_S
        while (url := ready_url(stack.log)) is None:
            assert process.poll() is None, stack.text()
            assert time.monotonic() < deadline, stack.text()
            time.sleep(0.1)
        yield Endpoint(url)
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def asked(endpoint: Endpoint) -> Endpoint:
    """The same, after some requests."""
    rows = [{"age": 30.0 + number, "spend": 10.0} for number in range(ROWS)]
    body = json.dumps({"dataframe_records": rows}).encode()
    for _ in range(SENT):
        assert endpoint.ask("/invocations", body)[0] == 200
    for _ in range(BAD):
        assert endpoint.ask("/invocations", b"{")[0] == 400
    return endpoint


def tells_all(page: Page, url: str) -> bool:
    """Load the page; whether it has the requests of both workers: of the other one each knows after a second."""
    page.goto(url)
    figures = {name: shown(page, name) for name in ("workers", "answered", "client errors")}
    return figures == {"workers": "2", "answered": str(SENT), "client errors": str(BAD)}


def pictures(scratch: Path) -> Path:
    """Where pictures of the page go: with `make pictures` beside those of Airflow's."""
    wanted = os.environ.get("LOCKSTEP_PICTURES")
    folder = Path(wanted).absolute().parent / "endpoint" if wanted else scratch
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shown(page: Page, name: str) -> str:
    """A figure of the page, by what stands above it."""
    return page.locator(".figure", has=page.get_by_text(name, exact=True)).locator("dd").inner_text()


def test_people_read_how_it_is_doing(chromium: Browser, asked: Endpoint, tmp_path: Path) -> None:
    complaints, asked_for = [], []
    for scheme in ("light", "dark"):
        context = chromium.new_context(viewport=WIDE, color_scheme=scheme, java_script_enabled=True)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.on("request", lambda request: asked_for.append(request.url))
        assert eventually(lambda page=page: tells_all(page, f"{asked.url}/status?refresh=off"), within_s=30)
        expect(page).to_have_title("Ready – Lockstep endpoint")
        traffic = page.get_by_role("table", name="Requests since the start")
        cells = traffic.get_by_role("row").nth(1).get_by_role("cell").all_inner_texts()
        headings = traffic.get_by_role("columnheader").all_inner_texts()[1:]
        found = dict(zip(headings, cells, strict=True))
        wanted = {"Answered": str(SENT), "Client errors": str(BAD), "Rows": str(SENT * ROWS), "Failed": "0"}
        assert {name: found[name] for name in wanted} == wanted
        latency = (
            page.get_by_role("table", name="Latency").get_by_role("row").nth(1).get_by_role("cell").all_inner_texts()
        )
        assert [" / " in text and text.endswith("s") for text in latency] == [False, *[True] * 5]
        versions = page.get_by_role("table", name="Loaded versions").get_by_role("row").all_inner_texts()
        assert [text.split("\t")[:2] for text in versions[1:]] == [["2", "pinned"], ["1", "current"]]
        assert [level.inner_text() for level in page.get_by_role("heading", level=1).all()] == ["Lockstep endpoint"]
        weak = [(text, ratio) for text, ratio in page.evaluate(CONTRASTS) if ratio < 4.5]
        assert weak == [], f"{scheme}: too little contrast"
        place = pictures(tmp_path) / "status.png" if scheme == "light" else tmp_path / "dark.png"
        page.screenshot(path=place, full_page=True)
        context.close()
    assert complaints == []
    assert {url for url in asked_for if not url.startswith("data:")} == {f"{asked.url}/status?refresh=off"}


def test_it_fits_a_phone_and_needs_no_script(chromium: Browser, asked: Endpoint, tmp_path: Path) -> None:
    context = chromium.new_context(viewport=NARROW, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{asked.url}/status")
    box = page.locator("body").bounding_box()
    assert box is not None
    assert box["width"] <= NARROW["width"]
    assert shown(page, "workers") == "2"
    expect(page.get_by_role("region", name=f"Requests to {SPEC_NAME}")).to_be_visible()
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    page.get_by_role("link", name="stop").click()
    expect(page).to_have_url(f"{asked.url}/status?refresh=off")
    expect(page.get_by_role("link", name="start")).to_be_visible()
    page.get_by_role("link", name="JSON").click()
    expect(page).to_have_url(f"{asked.url}/status.json")
    context.close()
