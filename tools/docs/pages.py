"""Lays out the pages of the site: docs/ as it is, and what its pages link to elsewhere in the repository.

A link from docs/ to a file outside of it works on a code host. In the site the file comes along, as a page below
`project/` if it is Markdown, else as text below `files/`, and the link leads there.
"""

import os
import re
import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)((?:\s+\"[^\"]*\")?\))")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
DOCS = PurePosixPath("docs")


class LinkBroken(Exception):
    """A page links to what is not there."""


def lay_out(root: Path, target: Path) -> list[Path]:
    """Copy docs/ and all files of the repository that its pages lead to; return the pages.

    Args:
        root: Of the repository.
        target: Folder that is made anew.

    Raises:
        LinkBroken: A page links to a file that is not there.
    """
    shutil.rmtree(target, ignore_errors=True)
    waiting = [PurePosixPath(path.relative_to(root).as_posix()) for path in sorted((root / DOCS).rglob("*"))]
    pages, seen = [], set()
    while waiting:
        source = waiting.pop()
        if source in seen or not (root / source).is_file():
            continue
        seen.add(source)
        place = target / placed(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".md":
            shutil.copyfile(root / source, place)
            continue
        text, linked = relinked((root / source).read_text(encoding="utf-8"), source, root)
        place.write_text(text, encoding="utf-8")
        pages.append(place)
        waiting += linked
    return pages


def placed(source: PurePosixPath) -> PurePosixPath:
    """Return where a file of the repository lies in the site's sources."""
    if source.is_relative_to(DOCS):
        return source.relative_to(DOCS)
    if source.suffix == ".md":
        return PurePosixPath("project") / source
    return PurePosixPath("files") / source.with_name(f"{source.name}.txt")


def relinked(text: str, source: PurePosixPath, root: Path) -> tuple[str, list[PurePosixPath]]:
    """Return the text of a page with its links to files as they are in the site, and those files.

    Raises:
        LinkBroken: One is not there.
    """
    linked: list[PurePosixPath] = []
    hidden = CODE.sub(lambda code: "\0" * len(code.group()), text)
    parts, end = [], 0
    for match in LINK.finditer(hidden):
        address, _, anchor = match.group(2).partition("#")
        if not address or "://" in address or address.startswith("mailto:"):
            continue
        found = PurePosixPath(os.path.normpath(source.parent / unquote(address)))
        if not (root / found).exists():
            raise LinkBroken(f"{source}: {match.group(2)} does not exist")
        parts.append(text[end : match.start()])
        before, after = text[match.start() : match.start(2)], text[match.end(2) : match.end()]
        if (root / found).is_dir():  # code hosts show folders, the site has none
            parts.append(before.removesuffix("](").lstrip("!["))
        else:
            linked.append(found)
            relative = os.path.relpath(placed(found), placed(source).parent)
            parts += [before, f"{relative}#{anchor}" if anchor else relative, after]
        end = match.end()
    return "".join([*parts, text[end:]]), linked
