"""Attempts at a unit: which have finished, which died, and what is left of them.

A unit is finished when its result file (`<attempt>.json`, beside the staged file) is there; it is written last. An
attempt that dies leaves files that no result names and that nobody reads.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from lockstep.run.folder import MANIFEST, RunFolder
from lockstep.run.manifest import UnitResult
from lockstep.run.plan import Unit
from lockstep.run.progress import PROGRESS

STAGING, QUARANTINE = "staging", "quarantine"
RESULT, ROWS = ".json", ".parquet"


def finished(folder: RunFolder, unit: Unit) -> UnitResult | None:
    """Return the result of a finished attempt whose staged file is still there, the first by name, or none."""
    names = folder.names(f"{STAGING}/{unit.id}")
    for name in names:
        if name.endswith(RESULT):
            result = folder.read_record(name, UnitResult, step="score")
            if result.staged in names:
                return result
    return None


def results_by_unit(folder: RunFolder) -> dict[str, str]:
    """Return the result file of each finished unit, the first by name whose staged file is still there.

    One listing, whatever the number of units, and no file is read.
    """
    found: dict[str, str] = {}
    # In the order of names a result comes right before the staged file of its attempt.
    for name, following in itertools.pairwise(folder.names(STAGING)):
        if name.endswith(RESULT) and following == name.removesuffix(RESULT) + ROWS:
            found.setdefault(name.split("/")[-2], name)
    return found


def results_of(folder: RunFolder, units: Iterable[Unit]) -> Iterator[UnitResult]:
    """Read the results of the finished ones among units, in their order, without holding them."""
    found = results_by_unit(folder)
    names = [found[unit.id] for unit in units if unit.id in found]
    return folder.read_records(names, UnitResult, step="score")


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
    removed, keep = 0, dict[str, str]()
    for result in accepted:
        keep[result.unit] = PurePosixPath(result.staged).stem
    for kind in (QUARANTINE, STAGING):
        for name in folder.names(kind):
            unit, _, file = name.rpartition("/")
            attempt, _, suffix = file.rpartition(".")
            if attempt != keep.get(unit.rpartition("/")[2], attempt):
                folder.remove(name)
                removed += kind == STAGING and f".{suffix}" == ROWS
    for name in folder.partial_names(MANIFEST, PROGRESS):
        folder.remove(name)
    return removed


def remove_attempt(folder: RunFolder, unit: Unit, *, attempt: str) -> None:
    """Delete the files of an attempt without a result."""
    for kind in (QUARANTINE, STAGING):
        folder.remove(f"{kind}/{unit.id}/{attempt}{ROWS}")


def attempts_begun(folder: RunFolder, unit: Unit) -> int:
    """Return how many attempts at a unit have left a staged file; of a unit that is not finished, they died."""
    return len([name for name in folder.names(f"{STAGING}/{unit.id}") if name.endswith(ROWS)])


def unfinished_attempts(folder: RunFolder) -> set[str]:
    """Return the attempts of all units that have left a staged file and no result: they died, or are at work."""
    names = set(folder.names(STAGING))
    begun = {name.removeprefix(f"{STAGING}/").removesuffix(ROWS) for name in names if name.endswith(ROWS)}
    return {attempt for attempt in begun if f"{STAGING}/{attempt}{RESULT}" not in names}
