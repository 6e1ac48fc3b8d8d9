"""Shadow tables never are tables that somebody reads: neither those of their own spec nor those of another."""

from pathlib import Path

from lockstep.errors import SpecError
from lockstep.specs.loading import SPEC_FILE, LoadedSpec, load_spec, spec_files
from lockstep.specs.spec import ScoringSpec


def check_shadow_tables(loaded: LoadedSpec) -> None:
    """Compare the shadow tables of a spec with the tables of all other specs beside it.

    A spec that cannot be read has no say.

    Raises:
        SpecError: Another spec writes to one of the tables.
    """
    spec = loaded.spec
    if spec.trial is None:
        return
    problems = []
    for file in spec_files(loaded.folder.resolve().parent):
        if file.parent == loaded.folder.resolve() or (other := _readable(file)) is None:
            continue
        if other.publish.warehouse == spec.publish.warehouse:
            taken = {name.casefold() for name in tables_of(other)}
            problems += [
                f"key trial.challengers: the shadow table {table!r} is a table of spec {other.name!r}"
                for table in spec.trial.shadow_tables(spec.publish.table)
                if table.casefold() in taken
            ]
    if problems:
        raise SpecError(str(loaded.folder / SPEC_FILE), problems)


def tables_of(spec: ScoringSpec) -> list[str]:
    """Return the tables that a spec writes to."""
    published = spec.publish.table
    shadows = spec.trial.shadow_tables(published) if spec.trial is not None else ()
    return [published, f"{published}_drift", *spec.reporting, *shadows]


def _readable(file: Path) -> ScoringSpec | None:
    try:
        return load_spec(file).spec
    except SpecError:
        return None
