"""Build the site of docs/ into build/site, strictly and without a network.

    .venv/docs/bin/python -m tools.docs.build            # build and check
    .venv/docs/bin/python -m tools.docs.build --serve    # and show it on 127.0.0.1

docs/ is laid out below build/docs, the reference is generated beside it, Zensical builds the pages and refuses links and
anchors that lead nowhere, and what was built is looked through for anything that a browser would fetch from elsewhere.
"""

import argparse
import functools
import http.server
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lockstep.cli.main import app
from lockstep.specs.serving_spec import Serving
from lockstep.specs.spec import ScoringSpec
from tools.docs import api, commands, fields, variables
from tools.docs.inspection import contain, problems
from tools.docs.pages import LinkBroken, lay_out

ROOT = Path(__file__).resolve().parents[2]
SOURCES, SITE = ROOT / "build" / "docs", ROOT / "build" / "site"

SPEC_INTRODUCTION = """\
The keys of `models/NAME/scoring.yaml`, from the models that read it. `lockstep spec schema` prints them as a JSON Schema
for editors, `lockstep spec validate` checks a file, `lockstep spec show NAME` prints one with its defaults."""
SERVING_INTRODUCTION = """\
The keys of `serving.yaml`, which `lockstep serve --config serving.yaml` reads. What they are for is in
[The endpoint](../endpoint.md)."""

REFERENCE: dict[str, Callable[[], str]] = {
    "spec.md": lambda: fields.reference(ScoringSpec, title="scoring.yaml", introduction=SPEC_INTRODUCTION),
    "serving.md": lambda: fields.reference(Serving, title="serving.yaml", introduction=SERVING_INTRODUCTION),
    "commands.md": lambda: commands.reference(app),
    "python.md": api.reference,
    "settings.md": variables.reference,
}


def main() -> int:
    """Build the site, and check or serve it; return 1 when something in it is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="show the built site on 127.0.0.1 until Ctrl-C")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    began = time.monotonic()
    if (wrong := build()) is not None:
        print(wrong, file=sys.stderr)
        return 1
    found = list(problems(SITE))
    if found:
        print("\n".join(found), file=sys.stderr)
        return 1
    pages = sum(1 for _ in SITE.rglob("*.html"))
    print(f"docs: {pages} pages in {time.monotonic() - began:.0f} s, every link and anchor leads somewhere, nothing is")
    print(f"  fetched from elsewhere. Open {(SITE / 'index.html').relative_to(ROOT)} in a browser, or `make docs-serve`.")
    if options.serve:
        serve(options.port)
    return 0


def build() -> str | None:
    """Lay out, generate and build; return what is wrong, if anything."""
    try:
        lay_out(ROOT, SOURCES)
    except LinkBroken as error:
        return str(error)
    (SOURCES / "reference").mkdir(exist_ok=True)
    for name, make in REFERENCE.items():
        (SOURCES / "reference" / name).write_text(make(), encoding="utf-8")
    shutil.rmtree(SITE, ignore_errors=True)
    program = Path(sys.executable).parent / "zensical"
    command = [program, "build", "--strict", "--clean", "--config-file", ROOT / "zensical.toml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return (done.stdout + done.stderr).split("Traceback")[0].strip()
    contain(SITE)
    return None


def serve(port: int) -> None:
    """Show the site on 127.0.0.1 until Ctrl-C."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    sys.exit(main())
