"""One process at a time computes a partition of a spec: two runs of one day must not both burn a cluster.

It spares work, and decides nothing about what is published: that is the fencing token's part (docs/publishing.md).
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lockstep.errors import PartitionBusy, PartitionLost
from lockstep.run.folder import RunFolder
from lockstep.run.lease import Busy, Lease, taken
from lockstep.specs.settings import Settings
from lockstep.storage.files import Location

# Beside the run folders, which all workers share: whoever can write a run sees its lease.
LEASES = ".leases"


def lease_folder(folder: RunFolder) -> Location:
    """Return where the lease of a run's spec and partition lies, from the path of the run alone."""
    partition = folder.path.parent
    return partition.parent.parent / LEASES / partition.parent.name / partition.name


@dataclass(frozen=True)
class Alone:
    """A partition that nobody else computes now."""

    what: str
    step: str
    lease: Lease

    def check(self) -> None:
        """Raise `PartitionLost` when somebody else has taken over; to be called in every wait."""
        if self.lease.is_lost:
            raise PartitionLost(self.what, step=self.step)


@contextlib.contextmanager
def alone(
    step: str,
    folder: RunFolder,
    settings: Settings,
    *,
    tell: Callable[[str], None] = lambda _: None,
    on_lost: Callable[[], None] = lambda: None,
) -> Iterator[Alone]:
    """Keep all others from computing the partition of a run while the body does.

    Args:
        step: What the body does.
        folder: The run.
        settings: Who is at work, and how long it waits for others.
        tell: Told once whom it waits for.
        on_lost: Called in another thread when somebody took over, because this process gave no sign of life for too
            long; it should end the body.

    Raises:
        PartitionBusy: Somebody else still has it after `settings.partition_wait_s`.
        RunFolderUnusable: The lease cannot be written.
    """
    what = f"{folder.path.parent.parent.name} {folder.path.parent.name}"
    with taken(
        lease_folder(folder),
        owner=settings.actor or "somebody",
        purpose=step,
        wait_s=settings.partition_wait_s,
        tell=lambda holder: tell(f"waiting for {holder}"),
        on_lost=on_lost,
    ) as got:
        if isinstance(got, Busy):
            raise PartitionBusy(what, step=step, holder=got.holder, waited_s=got.waited_s)
        yield Alone(what, step, got)
