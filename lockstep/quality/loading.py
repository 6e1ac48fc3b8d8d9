"""Load Great Expectations without what no check here uses, while the rows are measured.

It imports SciPy's statistics, Altair, SQLAlchemy and pyspark for one expectation and for execution engines of its own.
Together they are more than half of its loading time (`benchmarks/checks.py`). What it takes as optional is not found by
the thread that loads it; the two that it insists on are stood in for by modules that load at the first look.
"""

import contextlib
import importlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

WANTED, PAGES = "great_expectations.expectations", "lockstep.quality.pages"
# Great Expectations does without: it catches the `ImportError`.
OPTIONAL = frozenset(
    {"boto3", "botocore", "pyspark", "sqlalchemy", "google.auth", "google.api_core", "google.cloud", "google.oauth2"}
)
# Imported by name at the top of its modules, looked into only by expectations that the catalogue does not have.
POSTPONED = ("altair", "scipy.stats")
_LOCK = threading.Lock()


class _Postponed(ModuleType):
    """Stands for a module until something is looked up in it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system looks, too
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


class _Absent(MetaPathFinder):
    """Says to one thread that modules are not installed."""

    def __init__(self, names: frozenset[str], thread: int) -> None:
        self._names = names
        self._thread = thread

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002 - as asked
        if fullname in self._names and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{fullname} is not used by checks", name=fullname)
        return None


def load() -> None:
    """Load Great Expectations, once in a process; whoever needs it while another thread loads it waits.

    Its engines for Spark and SQL work in this process only if pyspark or SQLAlchemy was loaded before.
    """
    with _LOCK:
        if WANTED not in sys.modules:
            with _without(OPTIONAL), _postponed(POSTPONED):
                importlib.import_module(WANTED)


@contextlib.contextmanager
def loading_ahead() -> Iterator[None]:
    """Load in another thread while the body runs; what goes wrong there goes wrong again for who needs it."""

    def attempt() -> None:
        with contextlib.suppress(Exception):
            load()
            importlib.import_module(PAGES).compile_templates()

    thread = threading.Thread(target=attempt, name="load-great-expectations")
    with quiet():  # of this thread, for the filters of warnings are those of the process
        thread.start()
        try:
            yield
        finally:
            thread.join()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Great Expectations from logging and warning for the time of the body."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _without(names: frozenset[str]) -> Iterator[None]:
    finder = _Absent(names, threading.get_ident())
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextlib.contextmanager
def _postponed(names: Sequence[str]) -> Iterator[None]:
    stands = {name: _Postponed(name) for name in names if name not in sys.modules}
    sys.modules.update(stands)
    try:
        yield
    finally:
        for name, stand in stands.items():
            if sys.modules.get(name) is stand:
                del sys.modules[name]
