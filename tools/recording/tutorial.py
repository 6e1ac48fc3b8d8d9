"""Record the commands of docs/tutorials/nightly-tabular.md as docs/images/demo.svg: `make recording`.

What the reader of that page brings (its script, its settings) is made first and not recorded. The commands are typed
into a real shell. Nothing is shown that they did not print, but `~` for the folder and `host` for the name of this one.
Waits are shortened to a second each.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt

from tools.recording.screens import Frame, frames_of, shortened
from tools.recording.shell import CommandFailed, record
from tools.recording.svg import animated_svg

REPO = Path(__file__).resolve().parents[2]
PAGE = REPO / "docs" / "tutorials" / "nightly-tabular.md"
PICTURE = REPO / "docs" / "images" / "demo.svg"
COMMANDS = (
    "lockstep init spend customers --passthrough country --yes",
    "lockstep check spend",
    "lockstep run spend --date 2024-05-03",
    "lockstep run spend --date 2024-05-03",
    "lockstep history spend_scores",
)
TITLE = (
    "A terminal: lockstep init, check and run of a model and a table; the same run again is a no-op; history lists both"
)
COLUMNS, ROWS = 110, 30
LONGEST_S, MOST_FRAMES = 1.0, 8
LARGEST_BYTES = 300_000
TIMEOUT_S = 300.0
TITLED = re.compile(r'\w+ title="([\w./-]+)"')


def main() -> int:
    """Record, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, default=PICTURE, help="SVG to write (docs/images/demo.svg)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lockstep-") as scratch:
        folder = Path(scratch).resolve()
        env = environment()
        prepare(folder, env)
        try:
            events = record(COMMANDS, folder=folder, env=env, columns=COLUMNS, rows=ROWS, timeout_s=TIMEOUT_S)
        except CommandFailed as error:
            print(f"nothing was written: {error}", file=sys.stderr)
            return 1
    seen = frames_of(events, columns=COLUMNS, rows=ROWS, instead=instead_of(folder))
    frames = shortened(seen, longest_s=LONGEST_S, most=MOST_FRAMES)
    text = animated_svg(frames, columns=COLUMNS, rows=ROWS, title=TITLE)
    if problem := problem_of(frames, size_bytes=len(text.encode()), private=private_words(folder)):
        print(f"nothing was written: {problem}", file=sys.stderr)
        return 1
    options.output.write_text(text, encoding="utf-8")
    spans = [sum(frame.seconds for frame in some) for some in (seen, frames)]
    size = f"{len(frames)} frames, {len(text.encode()):,} bytes"
    print(f"{options.output}: {size}, {spans[0]:.0f} s shown in {spans[1]:.0f}")
    return 0


def environment() -> dict[str, str]:
    """Return the environment of somebody who has the data environment's programs, and nothing else of this machine."""
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    kept = {name: os.environ[name] for name in ("HOME", "JAVA_HOME") if name in os.environ}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GX_ANALYTICS_ENABLED": "false"}
    return {**kept, **quiet, "PATH": path, "PYTHONPATH": str(REPO), "LANG": "C.UTF-8"}


def prepare(folder: Path, env: dict[str, str]) -> None:
    """Write the files that the tutorial gives, and run its script."""
    for token in MarkdownIt().parse(PAGE.read_text(encoding="utf-8")):
        if token.type == "fence" and (titled := TITLED.fullmatch(token.info)):
            (folder / titled[1]).write_text(token.content, encoding="utf-8")
    command = [sys.executable, "begin.py"]
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True, timeout=TIMEOUT_S)


def instead_of(folder: Path) -> dict[str, str]:
    """Return what is shown in place of the folder, and of the host in the name of a worker."""
    return {str(folder): "~", f" {socket.gethostname()}-": " host-"}


def private_words(folder: Path) -> list[str]:
    """Return what must not be seen: where things are on this machine, and what it is called."""
    return [str(folder), str(REPO), str(Path.home()), socket.gethostname()]


def problem_of(frames: Sequence[Frame], *, size_bytes: int, private: Sequence[str]) -> str | None:
    """Say why a recording is not fit to be shown, if it is not."""
    text = "\n".join(frame.text() for frame in frames)
    if found := sorted({word for word in private if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)}):
        return f"the recording shows {', '.join(found)}"
    if size_bytes > LARGEST_BYTES:
        return f"the picture has {size_bytes:,} bytes, more than {LARGEST_BYTES:,}"
    return None


if __name__ == "__main__":
    sys.exit(main())
