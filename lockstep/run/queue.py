"""Units that the tasks of a job share: each task takes the next that is left (self-scheduling).

So no core waits for the end of another's share, and a slow node takes fewer units. To take a unit is to rename a file,
which succeeds for one task alone on every file system, also over NFS. It decides who scores a unit, not whether a row
counts: that is a matter of finished attempts (see `lockstep.scoring.attempts`).
"""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from lockstep.run.folder import RunFolder

QUEUE = "queue"


class UnitQueue:
    """The units of one job; `queue/<job>/` of the run folder holds `<unit>`, or `<unit>.<task>` once it is taken."""

    def __init__(self, folder: RunFolder, job: str) -> None:
        """Name the queue of a job; nothing is made yet.

        Args:
            folder: The run.
            job: Id of the job; tasks that an earlier one left behind find nothing in the queue of this.
        """
        self._folder = folder
        self._job = job

    def fill(self, units: Iterable[str]) -> None:
        """Offer units, in any order.

        Raises:
            RunFolderUnusable: The run folder cannot be written.
        """
        where = self._folder.folder(QUEUE, self._job)
        with self._folder.writing():
            for unit in units:
                (where / unit).touch()

    def units(self, order: Iterable[str], *, task: int) -> Iterator[str]:
        """Take units for a task until none is left; first those that an earlier attempt of the task took.

        Args:
            order: Ids of all units, in the order in which they are wanted.
            task: Number of the task, the same for all its attempts.
        """
        suffix = f".{task}"
        taken = {name.removesuffix(suffix) for name in self._names() if name.endswith(suffix)}
        yield from (unit for unit in order if unit in taken)
        left = self._names()
        for unit in order:
            if unit in left and self._take(unit, suffix):
                yield unit
                left = self._names()

    def _names(self) -> set[str]:
        try:
            return {path.name for path in self._path.iterdir()}
        except FileNotFoundError:  # the job has ended without this task
            return set()

    def _take(self, unit: str, suffix: str) -> bool:
        with self._folder.writing():
            try:
                (self._path / unit).rename(self._path / f"{unit}{suffix}")
            except FileNotFoundError:  # another task was faster
                return False
        return True

    @property
    def _path(self) -> Path:
        return self._folder.file(QUEUE, self._job)


def clear_queues(folder: RunFolder) -> None:
    """Remove the queues of all jobs of a run."""
    shutil.rmtree(folder.file(QUEUE), ignore_errors=True)
