"""Refuse Markdown links to files that are not there, and to headings that they do not have. Other sites are not asked.

A heading's anchor is that of code hosts: its text in lower case, without punctuation, with hyphens for spaces.
"""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

PASSED_OVER = {".venv", ".git", "build", "var", "node_modules"}
NAMED = re.compile(r"<[a-z]+\s[^>]*?\b(?:id|name)=[\"']([^\"']+)[\"']", re.IGNORECASE)
MARKDOWN = MarkdownIt("commonmark").enable("table")


def main() -> int:
    """Print each broken link; return 1 when there is one."""
    pages = sorted(pages_below(Path()))
    broken = [line for page in pages for line in broken_links(page)]
    print("\n".join(broken) or f"links: {len(pages)} pages, every file and heading that they point to is there")
    return 1 if broken else 0


def pages_below(root: Path) -> Iterator[Path]:
    """Yield the Markdown files of a project; environments, state and what was built are not entered."""
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name not in PASSED_OVER]
        yield from (Path(folder) / name for name in files if name.endswith(".md"))


def broken_links(page: Path) -> Iterator[str]:
    """Yield one line for each link of a page that leads nowhere."""
    for token, line in _inline(page.read_text(encoding="utf-8")):
        link = token.attrs.get("src" if token.type == "image" else "href")
        if isinstance(link, str) and (wrong := _wrong(page, link)) is not None:
            yield f"{page}:{line}: {link}: {wrong}"


def _wrong(page: Path, link: str) -> str | None:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    target = page.parent / unquote(parts.path) if parts.path else page
    if not target.exists():
        return "does not exist"
    if parts.fragment and target.suffix == ".md" and unquote(parts.fragment) not in anchors(target):
        return f"{target} has no such heading"
    return None


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return all that a link into a page may name: its headings, and elements with a name of their own."""
    text = page.read_text(encoding="utf-8")
    seen: Counter[str] = Counter()
    found = set()
    tokens = MARKDOWN.parse(text)
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            anchor = slug(_plain(token))
            found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
            seen[anchor] += 1
        found.update(NAMED.findall(token.content) if token.type in ("inline", "html_block") else ())
    return frozenset(found)


def slug(heading: str) -> str:
    """Return the anchor that code hosts give to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _plain(token: Token) -> str:
    return "".join(part.content for part in token.children or () if part.type in ("text", "code_inline"))


def _inline(text: str) -> Iterator[tuple[Token, int]]:
    """Yield what may be a link, each with the line on which its paragraph begins."""
    for token in MARKDOWN.parse(text):
        line = token.map[0] + 1 if token.map else 0
        yield from ((part, line) for part in token.children or ())


if __name__ == "__main__":
    sys.exit(main())
