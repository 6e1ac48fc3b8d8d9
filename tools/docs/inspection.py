"""What was built is looked at as a browser would: links that lead nowhere, what is fetched from elsewhere, lost pages.

Zensical's theme has loaders for things that these pages do not use (diagrams, code editors, the stars of a repository).
They name hosts of their own; `contain` takes these out, so that nothing can be fetched from them by whatever page.
"""

import re
from collections.abc import Iterable, Iterator
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
# The page that a server shows for any address, so its own links begin at the server's root.
NOT_FOUND = "404.html"
NAVIGATION = "md-nav--primary"


class Page(HTMLParser):
    """Reads one page: where it can be entered, what it links to, and what a browser fetches with it.

    Attributes:
        anchors: Names that a link may lead to.
        links: Addresses of its links.
        listed: Those among them that are in the navigation.
        fetched: Addresses of what is fetched with it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.listed: list[str] = []
        self.fetched: list[str] = []
        self._depth = 0  # of <nav>, from the navigation on

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element is, leads to and fetches."""
        given = {name: value or "" for name, value in attrs}
        if tag == "nav" and (self._depth or NAVIGATION in given.get("class", "").split()):
            self._depth += 1
        self.anchors.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
            self.listed += [given["href"]] if self._depth else []
        if tag in FETCHED and FETCHED[tag] in given and not set(given.get("rel", "").split()) & LINK_KINDS_NOT_FETCHED:
            self.fetched.append(given[FETCHED[tag]])
        self.fetched += [part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()]
        self.fetched += IN_CSS.findall(given.get("style", ""))

    def handle_endtag(self, tag: str) -> None:
        """Note the end of the navigation."""
        if tag == "nav" and self._depth:
            self._depth -= 1


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


def problems(site: Path, listed: Iterable[str] = ()) -> Iterator[str]:
    """Yield one line for each link that leads nowhere, each thing fetched from elsewhere, and each page that is lost.

    Args:
        site: What was built.
        listed: Pages that must be in the navigation, relative to the site.
    """
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site)
        yield from (f"{name}: fetches {address}" for address in page.fetched if ELSEWHERE.match(address))
        for link in sorted({*page.links, *page.fetched}):
            if (wrong := _wrong(link, path, site=site, pages=pages)) is not None:
                yield f"{name}: {link}: {wrong}"
    start = pages.get(site / "index.html", Page())
    for lost in sorted(set(listed) - {link.removeprefix("./").partition("#")[0] for link in start.listed}):
        yield f"{lost}: in no section of docs/.nav.yml, so nobody finds it"
    yield from _fetched_by_files(site)


def _fetched_by_files(site: Path) -> Iterator[str]:
    for path in sorted(site.rglob("*.css")):
        found = IN_CSS.findall(path.read_text(encoding="utf-8"))
        yield from (f"{path.relative_to(site)}: fetches {address}" for address in found)
    for path in sorted(site.rglob("*.js")):
        if path.name.startswith("search.") and path.parent == site:
            continue  # the index: words of these pages, never fetched
        addresses = IN_JS.findall(path.read_text(encoding="utf-8"))
        yield from (f"{path.relative_to(site)}: names {address}" for address in addresses if not NAMES.match(address))


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _wrong(link: str, source: Path, *, site: Path, pages: dict[Path, Page]) -> str | None:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    if parts.path.startswith("/") and source.name != NOT_FOUND:
        return "begins at the root of a server, which a page on a disk has not"
    base = site if parts.path.startswith("/") else source.parent
    target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else source.resolve()
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return "no such file"
    page = pages.get(target)
    if page is not None and parts.fragment and unquote(parts.fragment) not in page.anchors:
        return "no such anchor"
    return None
