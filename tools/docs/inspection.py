"""What was built is looked at as a browser would: does every link lead somewhere, and is anything fetched from elsewhere?

Zensical's theme has loaders for things that these pages do not use (diagrams, code editors, the stars of a repository).
They name hosts of their own; `contain` takes these out, so that nothing can be fetched from them by whatever page.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

SHIM = "https://unpkg.com/iframe-worker/shim"
OWN_SHIM = Path(__file__).parent / "iframe-worker.js"
LOADERS = re.compile(
    r"https://(?:unpkg\.com|cdn\.jsdelivr\.net|cdnjs\.cloudflare\.com|api\.github\.com|\$\{\w+\}/api)[^\"'`)\s]*"
)
ELSEWHERE = re.compile(r"(?:https?:)?//[\w$]", re.IGNORECASE)
# Elements that a browser fetches by themselves, and where their address is.
FETCHED = {
    "audio": "src", "embed": "src", "iframe": "src", "image": "href", "img": "src", "input": "src", "link": "href",
    "object": "data", "script": "src", "source": "src", "track": "src", "use": "href", "video": "src",
}  # fmt: skip
# A link that is no resource: it says what page this is, or which comes next.
LINK_KINDS_NOT_FETCHED = {"canonical", "next", "prev", "alternate", "author", "license"}
IN_CSS = re.compile(r"(?:url\(\s*|@import\s+)[\"']?((?:https?:)?//[^\"')\s]+)", re.IGNORECASE)
# Names that are compared and never fetched, and addresses in comments about licences.
NAMES = re.compile(r"https?://(?:www\.w3\.org|fontawesome\.com|zensical\.org|github\.com/[\w-]+/[\w-]+/?(?:blob|$))")
IN_JS = re.compile(r"https?://[\w.$-]+[^\"'`\s)]*")


class Page(HTMLParser):
    """Reads one page: where it can be entered, what it links to, and what a browser fetches with it."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element is, leads to and fetches."""
        given = {name: value or "" for name, value in attrs}
        self.anchors.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in FETCHED and FETCHED[tag] in given and not set(given.get("rel", "").split()) & LINK_KINDS_NOT_FETCHED:
            self.fetched.append(given[FETCHED[tag]])
        self.fetched += [part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()]
        self.fetched += IN_CSS.findall(given.get("style", ""))


def contain(site: Path) -> None:
    """Take out of a built site what would fetch from elsewhere; the shim that search needs for file:// comes along."""
    scripts = site / "assets" / "javascripts"
    (scripts / OWN_SHIM.name).write_bytes(OWN_SHIM.read_bytes())
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if SHIM in text:
            up = "../" * (len(page.relative_to(site).parts) - 1)
            page.write_text(text.replace(SHIM, f"{up or './'}assets/javascripts/{OWN_SHIM.name}"), encoding="utf-8")
    for script in scripts.rglob("*.js"):
        script.write_text(LOADERS.sub("about:blank", script.read_text(encoding="utf-8")), encoding="utf-8")


def problems(site: Path) -> Iterator[str]:
    """Yield one line for each link that leads nowhere and each thing that would be fetched from elsewhere."""
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site)
        yield from (f"{name}: fetches {address}" for address in page.fetched if ELSEWHERE.match(address))
        for link in {*page.links, *page.fetched}:
            if (wrong := _wrong(link, path, pages)) is not None:
                yield f"{name}: {link}: {wrong}"
    for path in sorted(site.rglob("*.css")):
        found = IN_CSS.findall(path.read_text(encoding="utf-8"))
        yield from (f"{path.relative_to(site)}: fetches {address}" for address in found)
    for path in sorted(site.rglob("*.js")):
        if path.name.startswith("search.") and path.parent == site:
            continue  # the index: words of these pages, never fetched
        found = IN_JS.findall(path.read_text(encoding="utf-8"))
        yield from (f"{path.relative_to(site)}: names {address}" for address in found if not NAMES.match(address))


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _wrong(link: str, source: Path, pages: dict[Path, Page]) -> str | None:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or link.startswith("javascript:"):
        return None
    target = (source.parent / unquote(parts.path)).resolve() if parts.path else source.resolve()
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return "no such file"
    page = pages.get(target)
    if page is not None and parts.fragment and unquote(parts.fragment) not in page.anchors:
        return "no such anchor"
    return None
