"""The page of the endpoint's API in Chromium: its style applies, and nothing is asked for from elsewhere."""

from playwright.sync_api import Browser, expect

from tests.integration.guarded import Served


def test_the_page_of_the_api_in_a_browser(chromium: Browser) -> None:
    told: list[str] = []
    asked: list[str] = []
    with Served() as served:
        origin = f"http://127.0.0.1:{served.port}"
        page = chromium.new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{origin}/docs")
        expect(page.get_by_role("heading", name="Lockstep")).to_be_visible()
        page.get_by_role("link", name="POST /v2/models/{name}/infer", exact=True).click()
        section = page.locator("section#infer")
        expect(section).to_be_in_viewport()
        assert section.evaluate("each => getComputedStyle(each).borderRadius") == "10px"
        section.get_by_text("Too much to do").click()
        expect(section.get_by_role("link", name="Retry-After").first).to_be_visible()
        page.close()
    assert told == []
    assert {url.partition("#")[0] for url in asked} == {f"{origin}/docs"}
