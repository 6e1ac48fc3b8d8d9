"""Refuse modules and functions that have grown too long to be read at once."""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

MODULE_LINES = 300
FUNCTION_LINES = 60
GENERATED = ("_pb2.py", "_pb2_grpc.py")
FOLDERS = ("lockstep", "udfs", "jobs", "dags", "models", "tools", "benchmarks", "tests")


def main(folders: Sequence[str]) -> int:
    """Print each offender; return 1 when there is one."""
    found = sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
    files = [path for path in found if not path.name.endswith(GENERATED)]
    offenders = [offender for path in files for offender in too_long(path)]
    print(
        "\n".join(offenders)
        or f"sizes: {len(files)} modules, none over {MODULE_LINES} lines, no function over {FUNCTION_LINES}"
    )
    return 1 if offenders else 0


def too_long(path: Path) -> Iterator[str]:
    """Yield one line for the module, if it is too long, and one for each of its functions that is.

    A function's lines are those from its first decorator to its last statement, docstring and comments included.
    """
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    if lines > MODULE_LINES:
        yield f"{path}:1: module of {lines} lines; split it at {MODULE_LINES}"
    for node in ast.walk(ast.parse(text, filename=str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            length = (node.end_lineno or first) - first + 1
            if length > FUNCTION_LINES:
                yield f"{path}:{node.lineno}: function {node.name} of {length} lines; at most {FUNCTION_LINES}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or FOLDERS))
