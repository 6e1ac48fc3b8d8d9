"""Challengers come and go while requests run: aliases that move, trials that end, versions that cannot be loaded."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from lockstep.run.canary_state import CanaryEvent, record_event
from lockstep.run.plan import Column
from lockstep.serving.fleet import ModelSlot
from lockstep.specs.routing_spec import Routing
from tests.unit.serving.routing.trials import CHALLENGER, CHAMPION, OTHER, Registry, Routed, canary, routed
from tests.unit.serving.toy import OUTPUTS, ROW

KEPT = "model=toy"


@pytest.fixture
def endpoint(tmp_path: Path) -> Routed:
    return routed(tmp_path, routing=canary(1.0))


async def arm_of(endpoint: Routed) -> str:
    answer = await endpoint.ask([ROW])
    assert answer.status == 200
    return f"{answer.headers['x-lockstep-arm']} {answer.headers['x-lockstep-model-version']}"


def slot_of(endpoint: Routed) -> ModelSlot:
    return endpoint.plane.fleet.slot("toy")


def test_a_challengers_alias_is_followed(endpoint: Routed) -> None:
    async def run() -> None:
        assert await arm_of(endpoint) == "challenger 4"
        endpoint.registry.aliases["challenger"] = OTHER
        follows = asyncio.create_task(endpoint.follower.follow(every_s=0.005))
        for _ in range(400):
            await asyncio.sleep(0.005)
            if await arm_of(endpoint) == "challenger 5":
                break
        follows.cancel()
        assert await arm_of(endpoint) == "challenger 5"

    asyncio.run(run())
    assert [version.retired for version in endpoint.registry.loaded] == [False, True, False]


def test_a_swap_fails_no_request(endpoint: Routed) -> None:
    seen, swapping = set[str](), True

    async def client() -> None:
        while swapping:
            seen.add(await arm_of(endpoint))

    async def swaps() -> None:
        nonlocal swapping
        for number in range(30):
            version, said = ((OTHER, "challenger 5"), (CHALLENGER, "challenger 4"))[number % 2]
            endpoint.registry.aliases["challenger"] = version
            await endpoint.follower.look()
            seen.clear()
            while said not in seen:  # a client that does not fail has it before long
                await asyncio.sleep(0)
            assert seen <= {"challenger 4", "challenger 5"}
        swapping = False

    async def run() -> None:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for work in (*(client() for _ in range(6)), swaps()):
                group.create_task(work)

    asyncio.run(run())


def test_an_abort_ends_it_for_good_and_a_resumption_brings_it_back(endpoint: Routed, tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)

    def decide(kind: Any) -> None:
        digest = f"{CHALLENGER:064}"
        event = CanaryEvent(
            kind=kind, at=now, actor="ann", alias="challenger", version=4, digest=digest, reasons=("odd",)
        )
        record_event(tmp_path, KEPT, event)

    async def run() -> None:
        decide("aborted")
        assert await arm_of(endpoint) == "challenger 4", "until it looks"
        await endpoint.follower.look()
        assert await arm_of(endpoint) == "champion 3"
        assert endpoint.registry.loaded[-1].retired, "its memory is given back"
        assert "aborted by ann" in (await index(endpoint))[-1]["reason"]
        decide("resumed")
        await endpoint.follower.look()
        assert await arm_of(endpoint) == "challenger 4"

    asyncio.run(run())


async def index(endpoint: Routed, body: bytes = b"{}") -> Any:
    return (await endpoint.post("index", body)).json()


def test_the_index_tells_the_arms(tmp_path: Path) -> None:
    registry = Registry(aliases={"champion": CHAMPION, "challenger": CHALLENGER, "deep": OTHER})
    endpoint = routed(tmp_path, registry=registry, routing=canary(0.25, shadows=("deep", "gone")))
    ready = {"name": "toy", "state": "READY"}

    async def run() -> None:
        told = await index(endpoint)
        assert told[:3] == [
            {**ready, "version": "3", "reason": ""},
            {**ready, "version": "4", "reason": "challenger: answers for 0.25 of the keys"},
            {**ready, "version": "5", "reason": "shadow_deep: scores along, answers nothing"},
        ]
        assert (told[3]["state"], told[3]["version"]) == ("UNAVAILABLE", "")
        assert told[3]["reason"] == "shadow_gone: it cannot be had (ModelNotFound)", "and no address of a registry"
        assert await index(endpoint, b'{"ready": true}') == told[:3]

    asyncio.run(run())


def test_a_challenger_that_cannot_be_loaded_is_counted_once_and_the_champion_answers(tmp_path: Path) -> None:
    endpoint = routed(tmp_path, registry=Registry(broken={CHALLENGER}), routing=canary(1.0))

    async def run() -> None:
        for _ in range(3):
            await endpoint.follower.look()
            assert await arm_of(endpoint) == "champion 3"
        assert (await index(endpoint))[-1]["reason"] == "challenger: version 4 cannot be loaded (ArtifactInvalid)"
        endpoint.registry.aliases["challenger"] = OTHER
        await endpoint.follower.look()
        assert await arm_of(endpoint) == "challenger 5"

    asyncio.run(run())
    assert endpoint.counted("lockstep_refused_versions") == {("toy",): 1}


def test_a_challenger_answers_like_the_champion_or_not_at_all(tmp_path: Path) -> None:
    registry = Registry()
    other = Column(name="odds", dtype="double")
    for outputs, answers in [
        ((other,), False),
        ((other, *OUTPUTS), True),
        ((_typed("float"),), True),
        ((_typed("string"),), False),
    ]:
        registry.outputs[CHALLENGER] = outputs
        endpoint = routed(tmp_path, registry=registry, routing=canary(1.0))
        assert (endpoint.arms.challenger is not None) is answers
        shadowed = routed(tmp_path, registry=registry, routing=Routing(shadows=("challenger",)))
        assert shadowed.arms.shadowing is not None
        assert shadowed.arms.shadowing.shadows[0].serving is not None, "a shadow may be anything"


def _typed(dtype: str) -> Column:
    return OUTPUTS[0].model_copy(update={"dtype": dtype})


def test_a_bug_in_the_registry_keeps_nobody_from_starting(tmp_path: Path) -> None:
    registry = Registry(bug=True)
    endpoint = routed(tmp_path, registry=registry, routing=canary(1.0))

    async def run() -> None:
        await endpoint.follower.look()
        assert await arm_of(endpoint) == "champion 3"
        registry.bug = False
        await endpoint.follower.look()
        assert await arm_of(endpoint) == "challenger 4"

    asyncio.run(run())


def test_a_registry_that_is_down_changes_nothing_and_an_alias_that_is_gone_ends_it(endpoint: Routed) -> None:
    async def run() -> None:
        endpoint.registry.down = True
        await endpoint.follower.look()
        assert await arm_of(endpoint) == "challenger 4"
        endpoint.registry.down = False
        del endpoint.registry.aliases["challenger"]
        await endpoint.follower.look()
        assert await arm_of(endpoint) == "champion 3"

    asyncio.run(run())


def test_a_challenger_that_was_promoted_is_on_trial_no_more(endpoint: Routed) -> None:
    async def run() -> None:
        endpoint.registry.aliases["champion"] = CHALLENGER
        await endpoint.repository.load("toy")
        await endpoint.follower.look()
        assert await arm_of(endpoint) == "champion 4"
        assert endpoint.arms.challenger is None
        await endpoint.repository.roll_back("toy")
        await endpoint.follower.look()
        assert await arm_of(endpoint) == "champion 3", "what was rolled back does not come back as a challenger"

    asyncio.run(run())


def test_an_unloaded_model_has_no_arms(endpoint: Routed) -> None:
    async def run() -> None:
        await endpoint.repository.unload("toy")
        assert (await endpoint.ask([ROW])).status == 503
        await endpoint.repository.load("toy")
        assert await arm_of(endpoint) == "champion 3", "its challenger was unloaded too"
        await endpoint.follower.look()
        assert await arm_of(endpoint) == "challenger 4"
        await endpoint.repository.unload("toy")
        await endpoint.follower.look()
        assert slot_of(endpoint).arms is endpoint.arms
        assert endpoint.arms.challenger is None

    asyncio.run(run())


def test_what_is_loaded_is_pinned_listed_and_closed(endpoint: Routed) -> None:
    slot = slot_of(endpoint)
    assert [version.number for version in slot.versions] == ["3", "4"]
    assert slot.find("4") is endpoint.arms.challenger
    assert [version.number for version in slot.answering] == ["3", "4"]
    endpoint.plane.close()
    for version in endpoint.registry.loaded:
        with pytest.raises(RuntimeError, match="shutdown"):
            version.lane._threads.submit(int)


def test_shadows_never_run_on_the_event_loop(tmp_path: Path) -> None:
    endpoint = routed(tmp_path, routing=Routing(shadows=("challenger",)))
    assert endpoint.arms.shadowing is not None
    (shadow,) = endpoint.arms.shadowing.shadows
    assert shadow.serving is not None
    assert shadow.serving.lane.limits.inline_s == 0.0
    assert endpoint.arms.challenger is None, "nobody may name it"
