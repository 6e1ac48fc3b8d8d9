"""Versions change while requests run: whole answers from one version, and a bad version is not let in."""

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lockstep.errors import ArtifactInvalid, RegistryUnavailable
from lockstep.run.plan import ModelIdentity
from lockstep.scoring.scorer import Scorer
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.errors import ModelUnknown, NothingToRollBackTo
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.lane import ScoringLane
from lockstep.serving.metrics import Metrics
from lockstep.serving.repository import Repository, Source
from lockstep.serving.repository_edge import repository_routes
from lockstep.serving.versions import LoadedVersion
from lockstep.serving.workers.board import Board
from tests.unit.serving.toy import BLOCK_ROWS, IDENTITY, SIGNATURE, ToyBackend, acall, app_of

JSON = {"content-type": "application/json"}


@dataclass
class Registry:
    """A registry of as many versions as one asks for; the alias names one of them."""

    alias: int = 3
    down: bool = False
    broken: set[int] = field(default_factory=set)
    loaded: list[LoadedVersion] = field(default_factory=list)

    def resolve(self, version: int | None) -> ModelIdentity:
        if self.down:
            raise RegistryUnavailable("nowhere", "no answer")
        number = version if version is not None else self.alias
        return IDENTITY.model_copy(update={"version": number, "digest": f"{number:064}"})

    def load(self, identity: ModelIdentity) -> LoadedVersion:
        if identity.version in self.broken:
            raise ArtifactInvalid(f"toy version {identity.version}", "it does not score its own input example")
        scorer = Scorer(ToyBackend(), SIGNATURE, block_rows=BLOCK_ROWS)
        self.loaded.append(LoadedVersion(identity, scorer, ScoringLane(scorer)))
        return self.loaded[-1]


@dataclass
class Served:
    """A repository over a registry, and the application in front of it."""

    registry: Registry
    repository: Repository
    plane: DataPlane
    app: Any

    @property
    def current(self) -> int:
        version = self.plane.fleet.slot("toy").current
        assert version is not None
        return version.identity.version


@pytest.fixture
def served() -> Served:
    registry, metrics = Registry(), Metrics()
    first = registry.load(registry.resolve(None))
    fleet = Fleet([ModelSlot("toy", "champion", current=first)])
    plane = DataPlane(fleet, metrics=metrics, limits=Limits())
    repository = Repository(fleet, {"toy": Source(registry.resolve, registry.load)}, metrics=metrics)
    return Served(registry, repository, plane, app_of(plane, *repository_routes(plane, repository)))


async def follow_until(served: Served, done: Callable[[], bool]) -> None:
    follows = asyncio.create_task(served.repository.follow(every_s=0.005))
    for _ in range(400):
        if done():
            break
        await asyncio.sleep(0.005)
    follows.cancel()


def test_a_moved_alias_is_followed(served: Served) -> None:
    served.registry.alias = 4
    asyncio.run(follow_until(served, lambda: served.current == 4))
    assert served.current == 4
    previous = served.plane.fleet.slot("toy").previous
    assert previous is not None
    assert previous.identity.version == 3


def test_a_bad_version_is_refused_once_and_the_old_one_goes_on(served: Served) -> None:
    served.registry.broken, served.registry.alias = {4}, 4
    asyncio.run(follow_until(served, lambda: False))
    assert served.current == 3
    families = text_string_to_metric_families(asyncio.run(acall(served.app, "/metrics")).body.decode())
    (refused,) = [s.value for f in families for s in f.samples if s.name == "lockstep_refused_versions_total"]
    assert refused == 1
    served.registry.alias = 5
    asyncio.run(follow_until(served, lambda: served.current == 5))
    assert served.current == 5


def test_a_registry_that_is_down_changes_nothing(served: Served) -> None:
    served.registry.down = True

    async def run() -> None:
        follows = asyncio.create_task(served.repository.follow(every_s=0.005))
        await asyncio.sleep(0.05)
        served.registry.down, served.registry.alias = False, 4
        for _ in range(200):
            await asyncio.sleep(0.005)
            if served.current == 4:
                break
        follows.cancel()

    asyncio.run(run())
    assert served.current == 4


def test_a_rollback_holds_until_the_alias_moves_again(served: Served) -> None:
    with pytest.raises(NothingToRollBackTo):
        asyncio.run(served.repository.roll_back("toy"))
    asyncio.run(served.repository.load("toy", version=4))
    served.registry.alias = 4
    asyncio.run(served.repository.roll_back("toy"))
    assert served.current == 3
    asyncio.run(follow_until(served, lambda: served.current != 3))
    assert served.current == 3
    served.registry.alias = 5
    asyncio.run(follow_until(served, lambda: served.current == 5))
    assert served.current == 5


def test_only_two_versions_are_kept(served: Served) -> None:
    async def run() -> None:
        for number in (4, 5, 6):
            await served.repository.load("toy", version=number)
        await asyncio.sleep(0.01)

    asyncio.run(run())
    assert [version.identity.version for version in served.plane.fleet.slot("toy").versions] == [5, 6]
    assert [version.retired for version in served.registry.loaded] == [True, True, False, False]


def test_every_answer_is_whole_from_one_version_and_none_fails(served: Served, row: dict[str, Any]) -> None:
    body = json.dumps({"dataframe_records": [row] * 30}).encode()
    seen: set[str] = set()

    swapping = True

    async def client() -> None:
        while swapping:
            answer = await acall(served.app, "/invocations", body, headers=JSON)
            assert answer.status == 200
            version = answer.headers["x-lockstep-model-version"]
            assert answer.headers["x-lockstep-model-digest"] == f"{int(version):064}"
            seen.add(version)

    async def swaps() -> None:
        nonlocal swapping
        for number in range(5, 25):
            await served.repository.load("toy", version=number)
            while str(number) not in seen:
                await asyncio.sleep(0.001)
        swapping = False

    async def run() -> None:
        # Much is set up by the first request of a process, so its lane thinks that rows take long.
        await acall(served.app, "/invocations", body, headers=JSON)
        await served.repository.load("toy", version=4)
        async with asyncio.timeout(60):
            await asyncio.gather(swaps(), *(client() for _ in range(8)))

    asyncio.run(run())
    assert served.current == 24


def test_news_from_before_a_change_do_not_undo_it(served: Served, tmp_path: Path) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(identity: ModelIdentity) -> LoadedVersion:
        began.set()
        assert go_on.wait(10)
        return served.registry.load(identity)

    sources = {"toy": Source(served.registry.resolve, slow)}
    repository = Repository(served.plane.fleet, sources, metrics=served.plane.metrics, board=Board(tmp_path))

    async def run() -> None:
        await repository.unload("toy")
        loading = asyncio.create_task(repository.load("toy", version=4))
        await asyncio.to_thread(began.wait, 10)
        follows = asyncio.create_task(repository.keep_up(every_s=0))
        await asyncio.sleep(0.05)  # it has read of the unloading, and waits for the loading
        go_on.set()
        await loading
        await asyncio.sleep(0.05)
        follows.cancel()
        assert served.current == 4

    asyncio.run(run())
    assert [each.identity.version for each in served.registry.loaded] == [3, 4]  # never dropped and loaded again


def test_commands_over_http(served: Served, row: dict[str, Any]) -> None:
    def post(path: str, body: bytes = b"") -> Any:
        return asyncio.run(acall(served.app, path, body, method="POST"))

    assert post("/v2/repository/models/toy/load", b'{"parameters": {"version": "4"}}').json() == {}
    assert post("/v2/repository/index").json() == [
        {"name": "toy", "version": "3", "state": "READY", "reason": "answers only when asked for by its number"},
        {"name": "toy", "version": "4", "state": "READY", "reason": ""},
    ]
    assert post("/v2/repository/models/toy/rollback").json() == {"name": "toy", "version": "3"}
    infer = json.dumps({"dataframe_records": [row]}).encode()
    assert post("/v2/repository/models/toy/unload").json() == {}
    for path in ("/invocations", "/endpoints/toy/invocations"):
        refused = asyncio.run(acall(served.app, path, infer, headers=JSON))
        assert (refused.status, refused.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert asyncio.run(acall(served.app, "/v2/health/ready")).status == 503
    assert post("/v2/repository/index", b'{"ready": true}').json() == []
    assert post("/v2/repository/index").json()[0]["state"] == "UNAVAILABLE"
    assert post("/v2/repository/models/toy/load").json() == {}
    assert asyncio.run(acall(served.app, "/invocations", infer, headers=JSON)).status == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v2/repository/models/other/load", b"", 404),
        ("/v2/repository/models/toy/rollback", b"", 409),
        ("/v2/repository/models/toy/load", b'{"parameters": {"version": "x"}}', 400),
        ("/v2/repository/models/toy/load", b'{"parameters": {"config": "x"}}', 400),
        ("/v2/repository/models/toy/load", b"[]", 400),
        ("/v2/repository/index", b'{"ready": 1}', 400),
    ],
)
def test_bad_commands_have_an_error_of_the_protocol(path: str, body: bytes, status: int, served: Served) -> None:
    answer = asyncio.run(acall(served.app, path, body, method="POST"))
    assert answer.status == status
    assert answer.json().keys() == {"error"}


def test_a_command_for_a_broken_version_says_so_and_changes_nothing(served: Served) -> None:
    served.registry.broken = {9}
    body = b'{"parameters": {"version": "9"}}'
    answer = asyncio.run(acall(served.app, "/v2/repository/models/toy/load", body, method="POST"))
    assert answer.status == 409
    assert "input example" in answer.json()["error"]
    assert served.current == 3


def test_unknown_models_are_told(served: Served) -> None:
    with pytest.raises(ModelUnknown, match="'toy'"):
        asyncio.run(served.repository.unload("other"))
