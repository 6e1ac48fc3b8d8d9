"""Attempts at a unit: which have finished, which died, and what is left of them.

A unit is finished when its result file (`<attempt>.json`, beside the staged file) is there; it is written last. An
attempt that dies leaves files that no result names and that nobody reads.
"""

from collections.abc import Sequence
from pathlib import Path

from lockstep.run.folder import MANIFEST, RunFolder
from lockstep.run.manifest import UnitResult
from lockstep.run.plan import Unit
from lockstep.run.progress import PROGRESS

STAGING, QUARANTINE = "staging", "quarantine"


def finished(folder: RunFolder, unit: Unit) -> UnitResult | None:
    """Return the result of a finished attempt whose staged file is still there, the first by name, or none."""
    for path in sorted(folder.file(STAGING, unit.id).glob("*.json")):
        result = folder.read_record(f"{STAGING}/{unit.id}/{path.name}", UnitResult, step="score")
        if folder.file(result.staged).is_file():
            return result
    return None


def accept(folder: RunFolder, unit: Unit, *, attempt: str, result: UnitResult) -> UnitResult:
    """Make the result of an attempt known; if a rival attempt was faster, leave nothing behind and return its."""
    done = finished(folder, unit)
    if done is not None:
        remove_attempt(folder, unit, attempt=attempt)
        return done
    folder.write_json(f"{STAGING}/{unit.id}/{attempt}.json", result)
    return result


def remove_strays(folder: RunFolder, accepted: Sequence[UnitResult]) -> int:
    """Delete what attempts left that were not accepted, or that died; return how many staged files that were."""
    removed = 0
    for result in accepted:
        keep = Path(result.staged).stem
        for kind in (QUARANTINE, STAGING):
            for path in folder.file(kind, result.unit).glob("*"):
                if path.stem != keep:
                    path.unlink(missing_ok=True)
                    removed += kind == STAGING and path.suffix == ".parquet"
    for path in (*folder.path.glob(f".{MANIFEST}.*.partial"), *folder.file(PROGRESS).glob(".*.partial")):
        path.unlink(missing_ok=True)
    return removed


def remove_attempt(folder: RunFolder, unit: Unit, *, attempt: str) -> None:
    """Delete the files of an attempt without a result."""
    for kind in (QUARANTINE, STAGING):
        folder.file(kind, unit.id, f"{attempt}.parquet").unlink(missing_ok=True)


def attempts_begun(folder: RunFolder, unit: Unit) -> int:
    """Return how many attempts at a unit have left a staged file; of a unit that is not finished, they died."""
    names = [path for path in folder.file(STAGING, unit.id).glob("*") if not path.name.startswith(".")]
    return len({path.stem for path in names if path.suffix == ".parquet"})


def unfinished_attempts(folder: RunFolder) -> set[str]:
    """Return the attempts of all units that have left a staged file and no result: they died, or are at work."""
    staged = {f"{path.parent.name}/{path.stem}" for path in folder.file(STAGING).glob("*/*.parquet")}
    return {name for name in staged if not folder.file(STAGING, f"{name}.json").exists()}
