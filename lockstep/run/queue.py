"""Units that the tasks of a job share: each task takes the next that is left (self-scheduling).

So no core waits for the end of another's share, and a slow node takes fewer units. To take a unit is to create a file
that is not there, which succeeds for one task alone on every file system, over NFS, and in object stores. It decides
who scores a unit, not whether a row counts: that is a matter of finished attempts (see `lockstep.scoring.attempts`).

An attempt of a task goes on with what earlier attempts of the same task took: so a unit of a host that died is scored
by whoever gets the task next, and a unit of a slow host by the copy of the task that Spark starts elsewhere.
"""

import json
from collections.abc import Iterator, Sequence

from lockstep.run.folder import RunFolder
from lockstep.run.plan import Unit

QUEUE = "queue"
# Units that are listed at a time to find one that is left; a store lists as many in one answer.
BLOCK = 1000


class UnitQueue:
    """The units of one job, in `queue/<job>/` of the run folder.

    `units/<block>` holds a block of units in the order in which they are wanted, so that a task reads only those that
    it looks at; `open` says how many blocks there are. `taken/<block>/<unit>` holds the number of the task that took
    it. `task/<number>/<block>/<unit>`, made before it, is how later attempts of the task find it without reading what
    all others took. `closed/<block>` says that a block has no unit left, so that nobody looks through a long queue from
    its beginning.
    """

    def __init__(self, folder: RunFolder, job: str) -> None:
        """Name the queue of a job; nothing is made yet.

        Args:
            folder: The run.
            job: Id of the job; tasks that an earlier one left behind take nothing from the queue of this.
        """
        self._folder = folder
        self._job = job

    def open(self, units: Sequence[Unit], *, width: int = 1) -> None:
        """Let tasks take units.

        Args:
            units: In the order in which they are wanted.
            width: Tasks that run side by side. Each begins at a place of its own among the first so many units that
                are left, as all would run for the same one else.

        Raises:
            RunFolderUnusable: The run folder cannot be written.
        """
        blocks = range(0, len(units), BLOCK)
        for number, first in enumerate(blocks):
            texts = {unit.id: unit.model_dump_json() for unit in units[first : first + BLOCK]}
            self._folder.write_text(self._path("units", str(number)), json.dumps(texts))
        self._folder.write_json(self._path("open"), {"blocks": len(blocks), "width": max(width, 1)})

    def units(self, *, task: int) -> Iterator[Unit]:
        """Take units for a task until none is left; first those that an earlier attempt of the task took.

        Args:
            task: Number of the task, the same for all its attempts.
        """
        facts = json.loads(self._read("open") or b"{}")
        if not facts:
            return
        for block, mine in self._noted(task).items():
            texts = self._texts(block)
            yield from (_unit(texts[unit]) for unit in texts if unit in mine and self._is_ours(block, unit, task))
        closed: set[str] = self._found("closed")
        for block in map(str, range(facts["blocks"])):
            if block not in closed:
                yield from self._units_of(block, task, start=task % facts["width"])
                closed |= self._found("closed")

    def _units_of(self, block: str, task: int, *, start: int) -> Iterator[Unit]:
        texts = self._texts(block)
        while texts and self._folder.has(self._path("open")):
            taken = self._found("taken", block)
            left = [unit for unit in texts if unit not in taken]
            if not left:
                self._folder.create(self._path("closed", block), self._job.encode())
                return
            begin = start % len(left)
            unit = next((unit for unit in left[begin:] + left[:begin] if self._take(block, unit, task)), None)
            if unit is not None:
                yield _unit(texts[unit])

    def _take(self, block: str, unit: str, task: int) -> bool:
        """Take a unit; a task that dies between the two files leaves only a note that says nothing."""
        note, who = self._path("task", str(task), block, unit), str(task).encode()
        self._folder.create(note, who)
        if self._folder.create(self._path("taken", block, unit), who):
            return True
        self._folder.remove(note)
        return False

    def _is_ours(self, block: str, unit: str, task: int) -> bool:
        who = self._read("taken", block, unit)
        return who in {str(task).encode(), b""}  # empty: its writer died, and may have been ours

    def _noted(self, task: int) -> dict[str, set[str]]:
        """Return the units that earlier attempts of a task wanted to take, by block."""
        found: dict[str, set[str]] = {}
        for name in self._folder.names(self._path("task", str(task))):
            block, unit = name.split("/")[-2:]
            found.setdefault(block, set()).add(unit)
        return dict(sorted(found.items(), key=lambda item: int(item[0])))

    def _texts(self, block: str) -> dict[str, str]:
        """Return the units of a block as JSON, by id; none when the job has ended meanwhile."""
        texts: dict[str, str] = json.loads(self._read("units", block) or b"{}")
        return texts

    def _read(self, *parts: str) -> bytes | None:
        try:
            return self._folder.file(self._path(*parts)).read_bytes()
        except FileNotFoundError:
            return None

    def _found(self, *below: str) -> set[str]:
        return {name.rpartition("/")[2] for name in self._folder.names(self._path(*below))}

    def _path(self, *parts: str) -> str:
        return "/".join((QUEUE, self._job, *parts))


def _unit(text: str) -> Unit:
    return Unit.model_validate_json(text)


def clear_queues(folder: RunFolder) -> None:
    """Remove the queues of all jobs of a run."""
    folder.remove(QUEUE)
