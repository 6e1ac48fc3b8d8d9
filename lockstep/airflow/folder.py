"""A folder of specs → the DAGs of a file in Airflow's DAG folder.

The families, and Airflow's Spark operator with them, are imported when DAGs are asked for.
"""

import ast
import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lockstep.errors import LibraryMissing, LockstepError, SettingsError, SpecError
from lockstep.specs.loading import SPEC_FILE, spec_files
from lockstep.specs.settings import Settings
from lockstep.specs.shipped import shipped

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from lockstep.airflow.dags import Family


def dags_from(
    models: str | Path | None = None, *, families: "Mapping[Family, str | None] | None" = None
) -> "dict[str, DAG]":
    """Build the DAGs of every spec below a folder.

    A file of Airflow's DAG folder needs no more than this:

        from lockstep.airflow import dags_from; globals().update(dags_from("/srv/scoring/models"))

    A spec that is wrong costs no other spec its DAGs: it is left out, and `raise_for_missing_dags`, in a file of its
    own, makes it an import error. A task that starts builds its own DAG alone.

    Args:
        models: Folder of `<name>/scoring.yaml`; without it, `LOCKSTEP_MODELS`.
        families: Which DAGs, each with the Markdown that its page begins with; without it, all.

    Returns:
        DAG ids to DAGs.

    Raises:
        SettingsError: `LOCKSTEP_MODELS` names no folder.
        SpecError: There is no spec below the folder.
        LockstepError: All of them are wrong.
        LibraryMissing: Airflow, or a provider of it, is not installed.
    """
    with _library_named():
        from airflow.sdk import get_parsing_context

        from lockstep.airflow.dags import build_all

    root = models_folder(models)
    if families is None:
        _check_folder(root, told_by_settings=models is None)
    pages = _all_pages() if families is None else {family: page or "" for family, page in families.items()}
    dags, problems = build_all(root, pages, only=get_parsing_context().dag_id)
    if problems and not dags and families is None:
        _raise(problems)  # there is no DAG that an import error of this file could cost
    return {dag.dag_id: dag for dag in dags}


def raise_for_missing_dags(models: str | Path | None = None) -> None:
    """Raise what is wrong with the specs below a folder; for a file of the DAG folder that defines no DAG.

    Airflow drops all DAGs of a file that has an import error (in 3.3: it marks them stale and schedules none of them).

    Args:
        models: As in `dags_from`.

    Raises:
        LockstepError: A spec has no DAGs.
    """
    with _library_named():
        from lockstep.airflow.dags import build_all
        from lockstep.airflow.families import FAMILIES

    _, problems = build_all(models_folder(models), dict.fromkeys(FAMILIES, ""))
    if problems:
        _raise(problems)


def models_folder(models: str | Path | None) -> Path:
    """Return the folder of the specs: the one that is named, else that of the settings."""
    return Path(models).absolute() if models is not None else Settings.from_env(os.environ).models_root


def page_of(family: "Family") -> str:
    """Return the Markdown that the pages of a family begin with: the docstring of its file in `dags/`."""
    source = (shipped("dags") / family.file).read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source), clean=False) or ""


def _all_pages() -> "dict[Family, str]":
    with _library_named():
        from lockstep.airflow.families import FAMILIES

    return {family: page_of(family) for family in FAMILIES}


@contextlib.contextmanager
def _library_named() -> Iterator[None]:
    """Say which extra has the library that an import lacks."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise LibraryMissing(str(error.name), extra="control", environment=sys.prefix) from error


def _raise(problems: Sequence[Exception]) -> NoReturn:
    from lockstep.airflow.dags import iter_messages

    raise LockstepError("\n".join(["", *iter_messages(problems)]))


def _check_folder(root: Path, *, told_by_settings: bool) -> None:
    expected = f"a folder that holds one for each model, with its {SPEC_FILE}"
    if not root.is_dir() and told_by_settings:
        raise SettingsError("LOCKSTEP_MODELS", got=f"{root}, which is no folder", expected=expected)
    if not root.is_dir():
        raise SpecError(str(root), [f"there is no such folder; expected {expected}"])
    if not spec_files(root):
        elsewhere = sorted([*root.glob(SPEC_FILE), *root.glob(f"*/*/{SPEC_FILE}")])
        hint = f"; there is {elsewhere[0]}: name the folder above its folder" if elsewhere else ""
        raise SpecError(str(root), [f"no spec is there; expected {expected}{hint}"])
