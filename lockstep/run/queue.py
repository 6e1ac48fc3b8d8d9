"""Units that the tasks of a job share: each task takes the next that is left (self-scheduling).

So no core waits for the end of another's share, and a slow node takes fewer units. To take a unit is to create a file
that is not there, which succeeds for one task alone on every file system, over NFS, and in object stores. It decides
who scores a unit, not whether a row counts: that is a matter of finished attempts (see `lockstep.scoring.attempts`).

An attempt of a task goes on with what earlier attempts of the same task took: so a unit of a host that died is scored
by whoever gets the task next, and a unit of a slow host by the copy of the task that Spark starts elsewhere.
"""

from collections.abc import Iterable, Iterator, Sequence

from lockstep.run.folder import RunFolder

QUEUE = "queue"
# Units that are listed at a time to find one that is left; a store lists as many in one answer.
BLOCK = 1000


class UnitQueue:
    """The units of one job, in `queue/<job>/` of the run folder.

    `taken/<block>/<unit>` holds the number of the task that took it. `task/<number>/<unit>`, made before it, is how
    later attempts of the task find it without reading what all others took. `closed/<block>` says that a block has no
    unit left, so that nobody looks through a long queue from its beginning.
    """

    def __init__(self, folder: RunFolder, job: str) -> None:
        """Name the queue of a job; nothing is made yet.

        Args:
            folder: The run.
            job: Id of the job; tasks that an earlier one left behind take nothing from the queue of this.
        """
        self._folder = folder
        self._job = job

    def open(self) -> None:
        """Let tasks take units.

        Raises:
            RunFolderUnusable: The run folder cannot be written.
        """
        self._folder.create(self._path("open"), self._job.encode())

    def units(self, order: Iterable[str], *, task: int) -> Iterator[str]:
        """Take units for a task until none is left; first those that an earlier attempt of the task took.

        Args:
            order: Ids of all units, in the order in which they are wanted; the same for all tasks.
            task: Number of the task, the same for all its attempts.
        """
        blocks = _blocks(list(order))
        mine = self._found("task", str(task))
        for block, units in blocks.items() if mine else ():
            yield from (unit for unit in units if unit in mine and self._is_ours(block, unit, task))
        closed: set[str] = self._found("closed")
        for block, units in blocks.items():
            if block not in closed:
                yield from self._units_of(block, units, task)
                closed |= self._found("closed")

    def _units_of(self, block: str, units: Sequence[str], task: int) -> Iterator[str]:
        while self._folder.has(self._path("open")):
            taken = self._found("taken", block)
            left = [unit for unit in units if unit not in taken]
            if not left:
                self._folder.create(self._path("closed", block), self._job.encode())
                return
            unit = next((unit for unit in left if self._take(block, unit, task)), None)
            if unit is not None:
                yield unit

    def _take(self, block: str, unit: str, task: int) -> bool:
        """Take a unit; a task that dies between the two files leaves only a note that says nothing."""
        note, who = self._path("task", str(task), unit), str(task).encode()
        self._folder.create(note, who)
        if self._folder.create(self._path("taken", block, unit), who):
            return True
        self._folder.remove(note)
        return False

    def _is_ours(self, block: str, unit: str, task: int) -> bool:
        try:
            who = self._folder.file(self._path("taken", block, unit)).read_bytes()
        except FileNotFoundError:
            return False
        return who in {str(task).encode(), b""}  # empty: its writer died, and may have been ours

    def _found(self, *below: str) -> set[str]:
        return {name.rpartition("/")[2] for name in self._folder.names(self._path(*below))}

    def _path(self, *parts: str) -> str:
        return "/".join((QUEUE, self._job, *parts))


def _blocks(order: Sequence[str]) -> dict[str, Sequence[str]]:
    return {str(first // BLOCK): order[first : first + BLOCK] for first in range(0, len(order), BLOCK)}


def clear_queues(folder: RunFolder) -> None:
    """Remove the queues of all jobs of a run."""
    folder.remove(QUEUE)
