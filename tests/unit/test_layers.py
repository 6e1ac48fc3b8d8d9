"""What import-linter cannot say: which libraries a layer may know at all, wherever in the module it imports them."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIGHT = {"pydantic", "pydantic_core", "yaml"}
ALLOWED = {
    "errors": {"yaml"},  # the index of errors, which only `lockstep explain` reads
    "specs": LIGHT,
    "run": LIGHT,
    "scoring": {"datasketches", "fsspec", "numpy", "onnx", "onnxruntime", "pyarrow", "tokenizers", "torch"},
}


def imported_roots(path: Path) -> Iterator[str]:
    """Yield the top-level package of each import of a module, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("layer", sorted(ALLOWED))
def test_layer_imports_only_what_it_may(layer: str) -> None:
    place = ROOT / "lockstep" / layer
    modules = [place] if place.is_file() else sorted(place.rglob("*.py"))
    assert modules
    may = ALLOWED[layer] | set(sys.stdlib_module_names) | {"lockstep"}
    strangers = {(path.name, root) for path in modules for root in imported_roots(path) if root not in may}
    assert not strangers


def test_only_lockstep_and_udfs_are_packages() -> None:
    folders = ("dags", "jobs", "models", "tools", "benchmarks", "tests", "spark-conf", "deploy")
    assert not [path for folder in folders for path in (ROOT / folder).rglob("__init__.py")]


def test_every_package_of_the_core_has_its_marker() -> None:
    packages = {path.parent for name in ("lockstep", "udfs") for path in (ROOT / name).rglob("*.py")}
    assert not [package for package in packages if not (package / "__init__.py").exists()]
