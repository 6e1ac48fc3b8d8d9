"""Refuse what belongs to one machine: hosts of package registries, home folders, secrets.

Every file that git knows or would add is read; binary files are passed over.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Written so that no pattern matches itself.
FORBIDDEN = {
    "host of a package registry": re.compile(
        r"\b(?:[\w-]+\.)*(?:pypi\.(?:org|python\.org)|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org|crates\.io)\b"
    ),
    "index or link option of pip": re.compile(
        r"^\s*--(?:extra-index-url|index-url|find-links|trusted-host)\b", re.MULTILINE
    ),
    "folder of one machine": re.compile(r"(?<![\w.~}\)-])/(?:root|home|Users|work)/[\w.]"),
    "private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY"),
}


def main() -> int:
    """Print each find; return 1 when there is one."""
    files = [path for path in known_files() if path.is_file()]
    finds = [find for path in files for find in forbidden_in(path)]
    print("\n".join(finds[:100]) or f"texts: {len(files)} files, nothing of one machine")
    return 1 if finds else 0


def known_files() -> list[Path]:
    """Return the files that git tracks or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        sys.exit(f"check_text: needs a git checkout: {answer.stderr.strip()}")
    return sorted(Path(name) for name in set(answer.stdout.split("\0")) if name)


def forbidden_in(path: Path) -> Iterator[str]:
    """Yield one line for each thing in a file that must not be there."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    for what, pattern in FORBIDDEN.items():
        for match in pattern.finditer(text):
            yield f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {what}: {match.group().strip()}"


if __name__ == "__main__":
    sys.exit(main())
