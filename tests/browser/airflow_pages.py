"""Airflow's pages as an operator uses them: what to click, and where to read."""

import datetime as dt
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Locator, Page, Request, expect

SIZE = {"width": 1280, "height": 800}
OURS = "/lockstep/"
LOOPBACK = {"127.0.0.1", "localhost"}
EACH_LOOK_S = 3.0


@dataclass
class Watch:
    """What the browser asked for elsewhere, and what pages complained about."""

    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def attach(self, context: BrowserContext) -> None:
        """Listen to all pages of a context."""
        context.on("request", self._on_request)
        context.on("console", self._on_console)
        context.on("weberror", lambda found: self._note(found.page, str(found.error)))

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in {"data", "blob"} and address.hostname not in LOOPBACK:
            self.elsewhere.append(request.url)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(message.page, message.text)

    def _note(self, page: Page | None, text: str) -> None:
        if page is not None and urlsplit(page.url).path.startswith(OURS):
            self.complaints.append(f"{page.url}: {text}")


@dataclass
class AirflowPages:
    """A browser tab.

    Attributes:
        page: The tab.
        pictures: Folder for pictures of it; none: no pictures are taken.
    """

    page: Page
    pictures: Path | None = None

    def log_in(self, user: str, password: str) -> None:
        """Log in, from wherever Airflow sends who has not."""
        self.page.goto("/")
        self.page.get_by_label("Username").fill(user)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("link", name="Dags", exact=True)).to_be_visible()

    def open_form(self, dag_id: str) -> Locator:
        """Open the dialog behind the button Trigger."""
        self.page.goto(f"/dags/{dag_id}")
        self.page.get_by_role("button", name="Trigger Dag").first.click()
        form = self.page.get_by_role("dialog").filter(has_text="Run Parameters")
        expect(form.get_by_role("region").last).to_be_visible()
        return form

    def submit(self, form: Locator, button: str) -> None:
        """Press the button of a form, which closes it."""
        form.get_by_role("contentinfo").get_by_role("button", name=button).click()
        expect(form).to_be_hidden()

    def triggered_run(self, dag_id: str) -> str:
        """Return the run that a form has just started: its page is where Airflow leads."""
        self.page.wait_for_url(re.compile(rf"/dags/{dag_id}/runs/[^/?]+"))
        return self.page.url.split("/runs/")[1].split("/")[0].split("?")[0]

    def pick_moment(self, form: Locator, *, label: str, day: dt.date) -> None:
        """Choose a day at midnight in one of Airflow's fields for date and time."""
        group = form.get_by_role("group").filter(has=self.page.get_by_text(label, exact=True))
        group.get_by_test_id("datetime-input").click()
        self.page.get_by_placeholder("YYYY/MM/DD").last.fill(day.strftime("%Y/%m/%d"))
        self.page.get_by_placeholder("HH:mm").last.fill("00:00")
        self.page.keyboard.press("Escape")
        expect(group).to_contain_text(day.strftime("%b %d, %Y 00:00"))

    def state_of(self, dag_id: str, run_id: str) -> str:
        """Return the state that the page of a run shows."""
        self.page.goto(f"/dags/{dag_id}/runs/{run_id}")
        heading = self.page.get_by_role("heading", name=unquote(run_id), exact=True)
        # The first badge behind the heading is the run's; those of its tasks follow.
        badge = heading.locator("xpath=following::*[@data-testid='state-badge'][1]")
        # A page may show the name of a text, such as states.success, before it has loaded the text.
        return badge.inner_text(timeout=30_000).strip().rpartition(".")[2].capitalize()

    def run_ends(self, dag_id: str, run_id: str, *, within_s: float) -> str:
        """Look at the page of a run until it has ended; return how."""
        return self.look(lambda: self.state_of(dag_id, run_id), {"Success", "Failed"}, within_s=within_s)

    def look(self, read: Callable[[], str], wanted: set[str], *, within_s: float) -> str:
        """Read something again and again until it is one of the wanted; return what it was last."""
        deadline, found = time.monotonic() + within_s, ""
        while found not in wanted and time.monotonic() < deadline:
            with suppress(Error):  # a page that a busy machine did not finish in time is looked at again
                found = read()
            if found not in wanted:
                self.page.wait_for_timeout(EACH_LOOK_S * 1000)
        return found

    def follow(self, dag_id: str, run_id: str, *, task: str, button: str) -> Page:
        """Press a button in the details of a task; return the page that it leads to."""
        self.page.goto(f"/dags/{dag_id}/runs/{quote(run_id, safe='')}/tasks/{task}/details")
        link = self.page.get_by_text("Extra Links").locator("xpath=..").get_by_role("link", name=button, exact=True)
        expect(link).to_be_visible()
        if task == "report":
            self.picture("task-report")
        if link.get_attribute("target") != "_blank":
            link.click()
            self.page.wait_for_url(re.compile(OURS))
            return self.page
        with self.page.context.expect_page() as opened:
            link.click()
        return opened.value

    def picture(self, name: str, *, of: Locator | None = None) -> None:
        """Take a picture of what is seen, or of a part of the page, if pictures are wanted."""
        if self.pictures is None:
            return
        with suppress(Error):  # charts and dialogs move a little while they open
            self.page.wait_for_load_state("networkidle", timeout=5_000)
        self.page.wait_for_timeout(1_000)
        save_picture((of or self.page).screenshot(), self.pictures / f"{name}.png")


def switch(form: Locator, name: str) -> None:
    """Turn a switch of a form on."""
    form.locator(f"label:has([name=element_{name}])").click()
    expect(form.locator(f"[name=element_{name}]")).to_be_checked()


def choose(form: Locator, *, field: str, value: str) -> None:
    """Choose from a list of a form."""
    form.get_by_role("combobox", name=field).click()
    form.page.get_by_role("option", name=value).click()


def fill(form: Locator, **values: str) -> None:
    """Fill the fields of a form, by the names of their parameters."""
    for name, value in values.items():
        form.locator(f"[name=element_{name}]").fill(value)
        form.page.keyboard.press("Tab")  # closes a list of examples


def save_picture(data: bytes, file: Path) -> None:
    """Write a picture with a palette, which is a third of its size."""
    import io

    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(io.BytesIO(data)) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
