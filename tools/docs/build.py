"""Build the site of docs/ into build/site, strictly and without a network.

    .venv/docs/bin/python -m tools.docs.build            # build and check
    .venv/docs/bin/python -m tools.docs.build --serve    # and show it on 127.0.0.1

docs/ is laid out below build/docs, the reference is generated beside it, Zensical builds the pages and refuses links
and anchors that lead nowhere, and what was built is looked through for anything that a browser would fetch from
elsewhere.
"""

import argparse
import functools
import http.server
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tools.docs.inspection import contain, problems
from tools.docs.pages import LinkBroken, lay_out
from tools.docs.reference import REFERENCE

ROOT = Path(__file__).resolve().parents[2]
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Zensical draws each complaint over several lines: what it is, then where.
COMPLAINT = re.compile(r"^(?:Warning|Error): (?P<what>.+)\n\W*\[ (?P<where>\S+) \]", re.MULTILINE)


def main() -> int:
    """Build the site, and check or serve it; return 1 when something in it is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="show the built site on 127.0.0.1 until Ctrl-C")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of zensical.toml and docs/")
    options = parser.parse_args()
    began = time.monotonic()
    site = options.root / "build" / "site"
    if found := list(build(options.root, sources=options.root / "build" / "docs", site=site)):
        print("\n".join(found), file=sys.stderr)
        return 1
    pages = sum(1 for _ in site.rglob("*.html"))
    print(
        f"docs: {pages} pages in {time.monotonic() - began:.0f} s: every link and anchor leads somewhere, every page is"
    )
    print("  in the navigation, nothing is fetched from elsewhere. Open build/site/index.html, or `make docs-serve`.")
    return serve(site, port=options.port) if options.serve else 0


def build(root: Path, *, sources: Path, site: Path) -> Iterator[str]:
    """Lay out, generate, build and look through; yield what is wrong.

    Args:
        root: Of the project.
        sources: Where all pages are laid out, as zensical.toml has it.
        site: Where the site is built, as zensical.toml has it.
    """
    try:
        pages = lay_out(root, sources)
    except LinkBroken as error:
        yield str(error)
        return
    for name, make in REFERENCE.items():
        path = sources / "reference" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(make(), encoding="utf-8")
        pages += [path] if path.suffix == ".md" else []
    shutil.rmtree(site, ignore_errors=True)
    program = Path(sys.executable).parent / "zensical"
    command = [str(program), "build", "--strict", "--clean", "--config-file", str(root / "zensical.toml")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield from complaints(done.stdout + done.stderr)
        return
    contain(site)
    places = (page.relative_to(sources).with_suffix(".html").as_posix() for page in pages)
    yield from problems(site, (place for place in places if not place.startswith("project/")))


def complaints(output: str) -> list[str]:
    """Return what Zensical complains of, a line each; all that it wrote when there is nothing of the kind."""
    plain = COLOURS.sub("", output)
    drawn = [f"{match['where']}: {match['what']}" for match in COMPLAINT.finditer(plain)]
    others = [line for line in plain.splitlines() if line.startswith("WARNING -")]
    return [*drawn, *others] or [plain.strip() or "zensical failed, and does not say why"]


def serve(site: Path, *, port: int) -> int:
    """Show the site on 127.0.0.1 until Ctrl-C; return 1 when the port cannot be had."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        print(
            f"docs: port {port} of 127.0.0.1 cannot be used: {error.strerror}. make docs-serve DOCS_PORT=8001",
            file=sys.stderr,
        )
        return 1
    with server:
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
