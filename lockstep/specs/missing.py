"""Why there is no spec of a name: a slip of the pen, a path instead of a name, or a spec in the wrong folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lockstep.errors.suggestions import did_you_mean

YAML = (".yaml", ".yml")
NEAR = 3  # folders below models/ that are looked into


def why_missing(models_root: Path, name: str, *, known: Sequence[str], file: str) -> str:
    """Say what to do about a spec that is not there.

    Args:
        models_root: Where specs are.
        name: What was asked for; somebody may have given a path.
        known: Names of the specs that are there.
        file: Name of a spec's file.
    """
    given = Path(name)
    bare = given.parent.name if given.suffix in YAML else given.name
    if not models_root.is_dir():
        return f"the folder {models_root} does not exist; LOCKSTEP_MODELS says where specs are"
    if bare != name and bare in known:
        return f"no spec of the name {name!r}: a spec is named by its folder, so give {bare!r}"
    elsewhere = next(_elsewhere(models_root, given, bare, file=file), None)
    if elsewhere is not None:
        advice = f"move it to {models_root / bare}, or set LOCKSTEP_MODELS={elsewhere.parent}"
        return f"no spec of the name {name!r} below {models_root}, and one is in {elsewhere}: {advice}"
    flat = next((path for path in _flat(models_root, bare) if bare and path.is_file()), None)
    if flat is not None:
        return f"each spec has a folder of its own, and {flat} is in none: move it to {models_root / bare / file}"
    folder = models_root / bare
    if bare and folder.is_dir():
        found = ", ".join(sorted(path.name for path in folder.iterdir() if path.suffix in YAML)) or "no YAML file"
        return f"the folder {folder} has no {file}; in it: {found}"
    listed = ", ".join(known) or "none"
    return f"no spec of the name {name!r}.{did_you_mean(bare, known)} Specs below {models_root}: {listed}"


def _flat(models_root: Path, bare: str) -> list[Path]:
    """Return where a spec may be of somebody who thinks that a spec is a file."""
    return [models_root / f"{bare}{suffix}" for suffix in YAML]


def _elsewhere(models_root: Path, given: Path, bare: str, *, file: str) -> Iterator[Path]:
    """Yield folders of that name with a spec: where a path leads, from here, and deeper below the specs."""
    here = (given.parent if given.suffix in YAML else given, Path(bare), Path("models") / bare)
    yield from (folder.absolute() for folder in here if bare and (folder / file).is_file())
    for depth in range(1, NEAR):
        pattern = "/".join([*["*"] * depth, bare, file])
        yield from (path.parent for path in sorted(models_root.glob(pattern)) if bare)
