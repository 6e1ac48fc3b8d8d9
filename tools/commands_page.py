"""Write what of docs/commands.md and docs/json/ follows from the code; `make errors` runs it."""

import json
import re
import sys
from pathlib import Path

from lockstep.cli.outputs import outputs
from lockstep.errors.index import errors_index
from lockstep.run.exit_codes import MEANINGS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"
TABLE = re.compile(r"(?<=<!-- exit codes -->\n\n).*?(?=\n\n<!-- end -->)", re.DOTALL)


SCHEMAS = PAGE.parent / "json"


def schemas() -> dict[Path, str]:
    """Return the JSON Schema of what each command prints with `--json`, by file."""
    return {
        SCHEMAS / f"{name.replace(' ', '-')}.json": json.dumps(kind.json_schema(), indent=2, sort_keys=True) + "\n"
        for name, kind in outputs().items()
    }


def exit_code_table() -> str:
    """Return the table of exit codes: the word, what it means, and the errors that end so."""
    families: dict[str, list[str]] = {}
    for entry in errors_index().entries.values():
        for code in re.findall(r"\d+", entry.exit):
            link = f"[{entry.family}](errors.md#{entry.family.lower().replace(' ', '-')})"
            families.setdefault(code, [])
            families[code] += [link] if link not in families[code] else []
    rows = [
        f"| {code} | {word} | {text} | {', '.join(families.get(str(code), []))} |"
        for code, (word, text) in MEANINGS.items()
    ]
    return "\n".join(("| code | in a word | what it says | errors |", "|---|---|---|---|", *rows))


def main() -> int:
    """Write the page anew."""
    PAGE.write_text(TABLE.sub(lambda _: exit_code_table(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    SCHEMAS.mkdir(exist_ok=True)
    for path, text in schemas().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
