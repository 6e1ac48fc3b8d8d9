"""Modules that a model brings along: each model gets its own, also beside another that has modules of the same names.

MLflow puts a model's folder of code on `sys.path` and leaves the rest to Python, which imports a name once: a second
version whose `utils.py` was changed would quietly compute with that of the first. Here the names of such a folder
belong to one model at a time, whose modules are put in place before its code runs.
"""

import contextlib
import importlib
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from lockstep.scoring.backends import Arrays, Backend, Encoded

BUILT_IN = frozenset(sys.builtin_module_names)
_LOCK = threading.RLock()
# Whose modules are in place, by top-level name; and all that are loaded.
_PLACED: "dict[str, weakref.ReferenceType[OwnCode]]" = {}
_EVERY: "weakref.WeakSet[OwnCode]" = weakref.WeakSet()


class OwnCode:
    """The modules of one model.

    Attributes:
        names: Top-level names in its folders of code.
    """

    def __init__(self, artifact: Path, flavors: Mapping[str, Any]) -> None:
        stated = {str(flavor.get("code")) for flavor in flavors.values() if flavor and flavor.get("code")}
        self._folders = tuple(artifact / name for name in sorted(stated) if (artifact / name).is_dir())
        self.names = frozenset(name for folder in self._folders for name in _top_level(folder))
        self._modules: dict[str, ModuleType] = {}
        if self.names:
            _EVERY.add(self)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let imports of its names find its modules while the body runs.

        Others that have modules of these names wait: of a name there is one module at a time in a process.
        """
        if not self.names:
            yield
            return
        shared = any(other is not self and other.names & self.names for other in list(_EVERY))
        with _LOCK if shared else contextlib.nullcontext():
            if shared or any(self._owner(name) is not self for name in self.names):
                with _LOCK:
                    self._place()
            yield

    @staticmethod
    def _owner(name: str) -> "OwnCode | None":
        known = _PLACED.get(name)
        return known() if known is not None else None

    def _place(self) -> None:
        """Put its modules where Python looks for them; keep those of the models that were there before."""
        if all(self._owner(name) is self for name in self.names):
            return
        for name in self.names:
            owner = self._owner(name)
            taken = _taken(name) if name in _PLACED or _is_folder(name) else {}
            if owner is not None:
                owner._modules |= taken  # noqa: SLF001 - of the same class
            _PLACED[name] = weakref.ref(self)
        sys.modules.update(self._modules)
        own, others = [str(f) for f in self._folders], {str(f) for each in _EVERY for f in each._folders}  # noqa: SLF001
        sys.path[:] = own + [path for path in sys.path if path not in others]
        importlib.invalidate_caches()


def _top_level(folder: Path) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name.isidentifier() and entry.name != "__pycache__":
            yield entry.name
        elif entry.suffix == ".py":
            yield entry.stem


def _is_folder(name: str) -> bool:
    """Whether a module is but a folder of that name which Python found on the way, such as the current one's."""
    return name in sys.modules and getattr(sys.modules[name], "__file__", None) is None and name not in BUILT_IN


def _taken(name: str) -> dict[str, ModuleType]:
    """Take a module and what is below it out of Python's table."""
    found = [each for each in sys.modules if each == name or each.startswith(f"{name}.")]
    return {each: sys.modules.pop(each) for each in found}


class OwnCodeBackend:
    """A backend whose model brings code along: what it runs finds its own modules."""

    def __init__(self, backend: Backend, code: OwnCode) -> None:
        self._backend = backend
        self._code = code
        self.device = backend.device

    def encode(self, batch: Any) -> Encoded:
        """Encode as the backend does."""
        return self._backend.encode(batch)

    def run(self, arrays: Arrays) -> Arrays:
        """Run the model with its own modules in place."""
        with self._code.in_place():
            return self._backend.run(arrays)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)
