"""A corpus of real English text that every Python brings: the docstrings of the standard library.

One row a docstring, named by module and object, in Parquet by day. The texts are real (PSF licence version 2); their
days are not: each text is dealt to one of two weeks by a checksum of its name, so that a day is a day's work.
"""

import ast
import datetime as dt
import json
import platform
import shutil
import sysconfig
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TABLE = "docstrings"
LAYOUT = 1  # raise it when the table below changes, so that an old one is written anew
MARKER = f"{TABLE}.json"
FIRST_DAY, DAYS = dt.date(2024, 1, 1), 14
# Tests, and what later Python versions leave out.
SKIPPED = {"test", "tests", "idle_test", "idlelib", "lib2to3", "turtledemo", "site-packages", "dist-packages"}
SCHEMA = pa.schema([("module", pa.string()), ("object", pa.string()), ("text", pa.string())])

Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Row = tuple[str, str, str]


def ingest_docstrings(out: Path, *, library: Path | None = None, force: bool = False) -> tuple[int, bool]:
    """Write the table, unless the docstrings of this Python are there already.

    Args:
        out: Data root; the table becomes a folder below it.
        library: Folder of Python source files; none: this interpreter's standard library.
        force: Write anew even so.

    Returns:
        Rows, and whether they were there already.
    """
    wanted = {"python": platform.python_version(), "layout": LAYOUT}
    done = _read_marker(out)
    if not force and done is not None and {name: done.get(name) for name in wanted} == wanted:
        return int(done["rows"]), True
    out.mkdir(parents=True, exist_ok=True)
    rows = list(docstrings(library or Path(sysconfig.get_path("stdlib"))))
    with tempfile.TemporaryDirectory(prefix=f".{TABLE}-", dir=out) as scratch:
        fresh = Path(scratch) / TABLE
        _write_days(rows, fresh)
        (out / MARKER).unlink(missing_ok=True)
        shutil.rmtree(out / TABLE, ignore_errors=True)
        fresh.rename(out / TABLE)
    (out / MARKER).write_text(json.dumps({**wanted, "rows": len(rows)}) + "\n", encoding="utf-8")
    return len(rows), False


def docstrings(library: Path) -> Iterator[Row]:
    """Yield module, object and docstring of all source files below a folder, each object once, sorted by module.

    The object of a module's own docstring is the empty text. Of two definitions of one name, the first counts.
    """
    for file in sorted(library.rglob("*.py")):
        path = file.relative_to(library)
        if SKIPPED.isdisjoint(path.parts):
            try:
                tree = ast.parse(file.read_bytes())
            except (SyntaxError, ValueError):  # templates and samples that are no Python
                continue
            module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
            found: dict[str, str] = {}
            _collect(tree, "", found)
            yield from ((module, name, text) for name, text in found.items())


def _collect(node: ast.Module | Documented, name: str, found: dict[str, str]) -> None:
    text = ast.get_docstring(node)
    if text:
        found.setdefault(name, text)
    for child in _definitions(node):
        _collect(child, f"{name}.{child.name}" if name else child.name, found)


def _definitions(node: ast.AST) -> Iterator[Documented]:
    """Yield the classes and functions that a block defines, those under its conditions included."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Documented):
            yield child
        elif isinstance(child, ast.stmt | ast.ExceptHandler):
            yield from _definitions(child)


def day_of(module: str, name: str) -> dt.date:
    """Return the day that a text is dealt to."""
    return FIRST_DAY + dt.timedelta(days=zlib.crc32(f"{module}:{name}".encode()) % DAYS)


def _write_days(rows: list[Row], folder: Path) -> None:
    by_day: dict[dt.date, list[Row]] = {}
    for row in rows:
        by_day.setdefault(day_of(row[0], row[1]), []).append(row)
    for day, chosen in by_day.items():
        target = folder / f"doc_date={day}"
        target.mkdir(parents=True)
        columns = [list(values) for values in zip(*chosen, strict=True)]
        pq.write_table(pa.table(columns, schema=SCHEMA), target / "part-0.parquet")


def _read_marker(out: Path) -> dict[str, Any] | None:
    try:
        marker: dict[str, Any] = json.loads((out / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return marker if (out / TABLE).is_dir() else None
