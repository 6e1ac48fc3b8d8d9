"""Refuse Markdown links to files that are not there. Links to other sites are not followed."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
PASSED_OVER = {".venv", ".git", "var", "node_modules"}


def main() -> int:
    """Print each broken link; return 1 when there is one."""
    pages = sorted(path for path in Path().rglob("*.md") if not PASSED_OVER & set(path.parts))
    broken = [line for page in pages for line in broken_links(page)]
    print("\n".join(broken) or f"links: {len(pages)} pages, every file they point to is there")
    return 1 if broken else 0


def broken_links(page: Path) -> Iterator[str]:
    """Yield one line for each link of a page that leads nowhere."""
    text = CODE.sub(lambda code: " " * len(code.group()), page.read_text(encoding="utf-8"))
    for match in LINK.finditer(text):
        target = unquote(match.group(1).split("#")[0])
        if target and "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists():
            yield f"{page}: {match.group(1)} does not exist"


if __name__ == "__main__":
    sys.exit(main())
