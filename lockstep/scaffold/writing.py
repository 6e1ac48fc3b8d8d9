"""Write the folder of a spec: all of its files at once, or none; nothing that is there is ever changed."""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lockstep.scaffold.errors import FolderUnwritable, SpecExists
from lockstep.specs.fields import IDENTIFIER

PLAIN = re.compile(r"[A-Za-z][\w ./,-]*[\w/]|[A-Za-z]")
ONE_LINE = 1 << 30
FILES = {
    "scoring.yaml": "scoring.yaml.j2",
    "checks/gate.yaml": "suite.yaml.j2",
    "checks/audit.yaml": "suite.yaml.j2",
    "README.md": "README.md.j2",
}


def spec_name(text: str) -> str:
    """Return a name for a spec: what is not a letter, a digit or an underscore becomes one."""
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()
    return name if IDENTIFIER.fullmatch(name) else f"model_{name}"


def require_absent(folder: Path) -> None:
    """Raise `SpecExists` when there is something at the place of a new spec."""
    if folder.exists() or folder.is_symlink():
        raise SpecExists(str(folder))


def render(facts: Mapping[str, Any], suites: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the text of every file of a spec's folder.

    Args:
        facts: For the spec and its README.
        suites: Further facts for the suites, by file.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - YAML and Markdown, not HTML
        loader=PackageLoader("lockstep.scaffold"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters.update(scalar=scalar, flow=flow)
    return {
        file: environment.get_template(template).render({**facts, **suites.get(file, {})})
        for file, template in FILES.items()
    }


def write_folder(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files into a new folder; it is there with all of them, or not at all.

    Raises:
        SpecExists: Something of that name is there.
        FolderUnwritable: The folder cannot be written.
    """
    require_absent(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            for name, text in texts.items():
                file = draft / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            draft.chmod(0o777 & ~_umask())
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        require_absent(folder)  # somebody was quicker
        raise FolderUnwritable(str(folder), reason=error.strerror or type(error).__name__) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def scalar(value: object) -> str:
    """Return a value as YAML on one line, quoted where it has to be."""
    if isinstance(value, str) and not (PLAIN.fullmatch(value) and isinstance(yaml.safe_load(value), str)):
        return _quoted(value)
    return yaml.safe_dump(value, width=ONE_LINE).removesuffix("...\n").strip()


def _quoted(value: str) -> str:
    return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=ONE_LINE).strip()


def flow(value: Any) -> str:
    """Return a list or a mapping as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {flow(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(each) for each in value) + "]"
    text = scalar(value)
    # Inside brackets these would end a plain text.
    return _quoted(value) if isinstance(value, str) and set(text) & set(",[]{}") else text
