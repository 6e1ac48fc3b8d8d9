"""What a worker without models follows: the newest that the owner said, whichever way it came and however late."""

import asyncio
import dataclasses
import threading
from pathlib import Path
from typing import Any

from lockstep.run.plan import ModelIdentity
from lockstep.scoring.scorer import Scorer
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.lane import ScoringLane
from lockstep.serving.metrics import Metrics
from lockstep.serving.one_copy.calling import OwnerCalls
from lockstep.serving.one_copy.fronts import FrontRepository, OwnedModels
from lockstep.serving.one_copy.link import Link
from lockstep.serving.repository import Source
from lockstep.serving.versions import LoadedVersion
from lockstep.serving.workers.board import Wanted
from tests.unit.serving.toy import BLOCK_ROWS, IDENTITY, SIGNATURE, ToyBackend

NOTHING, THREE = Wanted(None), Wanted(3)


class Told(OwnerCalls):
    """An owner that has done whatever it is asked to do."""

    def call(self, op: str, **_: Any) -> dict[str, Any]:  # type: ignore[override]
        return {"op": op, "serves": {"toy": dataclasses.asdict(THREE)}, "at": 20}


async def load_beside_a_pulse(pulse: Wanted, *, at: int) -> int | None:
    """Load version 3, which the owner says at 20, while a pulse waits; return what is served in the end."""
    begun, go_on = threading.Event(), threading.Event()

    def resolve(version: int | None) -> ModelIdentity:
        return IDENTITY.model_copy(update={"version": version, "digest": f"{version:064}"})

    def load(identity: ModelIdentity) -> LoadedVersion:
        begun.set()
        assert go_on.wait(10)
        scorer = Scorer(ToyBackend(), SIGNATURE, block_rows=BLOCK_ROWS)
        return LoadedVersion(identity, scorer, ScoringLane(scorer))

    metrics, path = Metrics(), Path("nowhere")
    owned = OwnedModels(Told(path), Link(path))
    fleet = Fleet([ModelSlot("toy")])
    sources = {"toy": Source(resolve, load, follows=False)}
    repository = FrontRepository(fleet, sources, metrics=metrics, owned=owned)
    following = asyncio.create_task(repository.keep_up(every_s=0))
    loading = asyncio.create_task(repository.load("toy"))
    assert await asyncio.to_thread(begun.wait, 10)
    owned.link.serves, owned.link.serves_at = {"toy": pulse}, at
    await taken(owned.link)
    go_on.set()
    await asyncio.gather(loading, return_exceptions=True)
    await taken(owned.link)  # the one before is done
    following.cancel()
    current = fleet.slot("toy").current
    return current.identity.version if current is not None else None


async def taken(link: Link) -> None:
    link.pulsed.set()
    while link.pulsed.is_set():
        await asyncio.sleep(0)


def test_a_pulse_that_a_later_change_overtook_is_not_followed() -> None:
    assert asyncio.run(load_beside_a_pulse(NOTHING, at=10)) == 3


def test_a_pulse_after_the_change_is_followed() -> None:
    assert asyncio.run(load_beside_a_pulse(NOTHING, at=30)) is None


def test_a_pulse_that_says_the_same_changes_nothing() -> None:
    assert asyncio.run(load_beside_a_pulse(THREE, at=10)) == 3
