import re
from pathlib import Path

from tools.recording.screens import Event, frames_of
from tools.recording.tutorial import COMMANDS, LARGEST_BYTES, PAGE, problem_of


def test_the_commands_are_those_of_the_page() -> None:
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)).splitlines()
    # Who reads the page is asked; here nobody is.
    assert [command.removesuffix(" --yes") for command in COMMANDS] == [
        line for line in blocks if re.match("lockstep (init|check|run|history) ", line)
    ]


def test_what_is_private_is_not_shown(tmp_path: Path) -> None:
    frames = frames_of([Event(0.0, f"in {tmp_path}/x on host-7\r\n".encode())], columns=200, rows=2)
    assert problem_of(frames, size_bytes=1, private=["host", "other"]) is not None
    assert problem_of(frames, size_bytes=1, private=["hos", "other"]) is None
    assert str(tmp_path) in str(problem_of(frames, size_bytes=1, private=[str(tmp_path)]))
    assert "bytes" in str(problem_of(frames, size_bytes=LARGEST_BYTES + 1, private=[]))
