"""A registry of toy versions with aliases, and an application that routes between them."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lockstep.errors import ArtifactInvalid, ModelNotFound, RegistryUnavailable
from lockstep.run.plan import Column, ModelIdentity
from lockstep.scoring.arms import Split, salt_of
from lockstep.scoring.backends import Arrays
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.lane import ScoringLane
from lockstep.serving.metrics import Metrics, merged
from lockstep.serving.repository import Repository, Source
from lockstep.serving.repository_edge import repository_routes
from lockstep.serving.routing.arms import Arms
from lockstep.serving.routing.building import build_arms
from lockstep.serving.routing.edge import canary_routes
from lockstep.serving.routing.following import Follower
from lockstep.serving.versions import LoadedVersion
from lockstep.serving.work import Scored
from lockstep.specs.routing_spec import Routing, ServedCanary
from lockstep.specs.serving_spec import ServedModel
from lockstep.specs.spec import ModelRef
from tests.unit.serving.toy import BLOCK_ROWS, IDENTITY, INPUTS, OUTPUTS, ROW, SIGNATURE, ToyBackend, acall, app_of

DAY = dt.date(2026, 11, 22)
NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC).timestamp()
JSON = {"content-type": "application/json"}
CHAMPION, CHALLENGER, OTHER = 3, 4, 5
# A challenger that needs a column more than the champion: the optional one.
WIDER = tuple(column.model_copy(update={"required": True}) for column in INPUTS)


class Shifted(ToyBackend):
    """The toy's scores, all a little higher."""

    def __init__(self, by: float) -> None:
        self.by = by

    def run(self, arrays: Arrays) -> Arrays:
        (scores,) = super().run(arrays)
        return (scores + self.by,)


@dataclass
class Registry:
    """Versions of one model by alias; each version's scores are the champion's, shifted."""

    aliases: dict[str, int] = field(default_factory=lambda: {"champion": CHAMPION, "challenger": CHALLENGER})
    shifts: dict[int, float] = field(default_factory=lambda: {CHALLENGER: 0.25, OTHER: 0.5})
    inputs: dict[int, tuple[Column, ...]] = field(default_factory=dict)
    outputs: dict[int, tuple[Column, ...]] = field(default_factory=dict)
    backends: dict[int, Any] = field(default_factory=dict)
    down: bool = False
    bug: bool = False
    broken: set[int] = field(default_factory=set)
    loaded: list[LoadedVersion] = field(default_factory=list)
    heard: list[Scored] = field(default_factory=list)

    def identity(self, number: int) -> ModelIdentity:
        inputs = self.inputs.get(number, INPUTS)
        outputs = self.outputs.get(number, OUTPUTS)
        own = {"version": number, "digest": f"{number:064}", "inputs": inputs, "outputs": outputs}
        return IDENTITY.model_copy(update=own)

    def source(self, alias: str) -> Source:
        def resolve(version: int | None) -> ModelIdentity:
            if self.down:
                raise RegistryUnavailable("nowhere", "no answer")
            if self.bug and alias != "champion":
                raise KeyError("a bug")
            if version is None and alias not in self.aliases:
                raise ModelNotFound("toy", wanted=f"alias {alias}", tracking_uri="nowhere")
            return self.identity(version if version is not None else self.aliases[alias])

        return Source(resolve, self.load)

    def load(self, identity: ModelIdentity) -> LoadedVersion:
        number = identity.version
        if number in self.broken:
            raise ArtifactInvalid(f"toy version {number}", "it does not score its own input example")
        signature = Signature(self.inputs.get(number, INPUTS), OUTPUTS)
        backend = self.backends.get(number) or Shifted(self.shifts.get(number, 0.0))
        scorer = Scorer(backend, signature, block_rows=BLOCK_ROWS)
        self.loaded.append(LoadedVersion(identity, scorer, ScoringLane(scorer, on_scored=self.heard.append)))
        return self.loaded[-1]


@dataclass
class Clock:
    """A clock that somebody sets."""

    seconds: float = NOON

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Routed:
    """A toy endpoint with arms."""

    registry: Registry
    plane: DataPlane
    arms: Arms
    follower: Follower
    repository: Repository
    clock: Clock
    app: Any

    async def ask(self, rows: list[dict[str, Any]], path: str = "/invocations", **headers: str) -> Any:
        body = json.dumps({"dataframe_records": rows}).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await acall(self.app, path, body, headers={**JSON, **named})

    async def post(self, path: str, body: bytes = b"") -> Any:
        return await acall(self.app, f"/v2/repository/{path}", body, method="POST")

    def counted(self, name: str) -> dict[tuple[str, ...], Any]:
        return dict(merged([self.plane.metrics.snapshot()]).get(name, []))


Make = Callable[..., Routed]


def routed(home: Path, *, registry: Registry | None = None, routing: Routing | None = None) -> Routed:
    """An endpoint over the toy, with a canary by `flight` unless something else is wanted."""
    registry, metrics, clock = registry or Registry(), Metrics(), Clock()
    own = registry.source("champion")
    slot = ModelSlot("toy", "champion", current=registry.load(own.resolve(None)))
    served = ServedModel(model=ModelRef(name="toy"), routing=routing or canary())
    arms = build_arms(served, None, slot=slot, source_of=registry.source, home=home, metrics=metrics, clock=clock)
    assert arms is not None
    slot.arms = arms
    fleet = Fleet([slot])
    plane = DataPlane(fleet, metrics=metrics, limits=Limits())
    plane.arms = {"toy": arms}
    repository = Repository(fleet, {"toy": own}, metrics=metrics)
    follower = Follower([arms], rolled_back=repository.passed_over, metrics=metrics)
    follower.begin()
    routes = [*repository_routes(plane, repository), *canary_routes(plane, follower, home=home)]
    return Routed(registry, plane, arms, follower, repository, clock, app_of(plane, *routes))


def canary(share: float = 0.5, *, by: tuple[str, ...] = ("flight",), **others: Any) -> Routing:
    """A canary of the alias `challenger`, which has its share since yesterday."""
    begun = {DAY - dt.timedelta(days=1): share}
    return Routing(canary=ServedCanary(alias="challenger", ramp=begun, by=by), **others)


def split(version: int = CHALLENGER, *, by: tuple[str, ...] = ("flight",)) -> Split:
    """What the batch would split by."""
    return Split(salt_of("toy", f"{version:064}"), by)


def flights(numbers: range) -> list[dict[str, Any]]:
    return [{**ROW, "flight": number} for number in numbers]


def batch_takes(rows: list[dict[str, Any]], share: float = 0.5) -> list[bool]:
    """Which rows the batch would give to the challenger."""
    table = pa.table({"flight": pa.array([row["flight"] for row in rows], pa.int64())})
    return [bool(place < share) for place in split().positions(table)]


def scores_of(registry: Registry, version: int, rows: list[dict[str, Any]]) -> Any:
    """What a version answers, computed by itself."""
    table = pa.RecordBatch.from_pylist([{**row, "at": dt.datetime.fromisoformat(row["at"])} for row in rows])
    cast = [table.column(c.name).cast(SIGNATURE.schema.field(c.name).type) for c in INPUTS]
    batch = pa.RecordBatch.from_arrays(cast, schema=SIGNATURE.schema)
    scorer = Scorer(Shifted(registry.shifts.get(version, 0.0)), SIGNATURE, block_rows=BLOCK_ROWS)
    return np.asarray(scorer.score(batch, where="the test").outputs[0])
