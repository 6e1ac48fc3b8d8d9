"""An endpoint put together from its configuration has arms where it should, in each of its processes."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lockstep.run.plan import ModelIdentity
from lockstep.serving import served_models
from lockstep.serving.assembly import Endpoint, Place, build_endpoint
from lockstep.serving.routing.following import Follower
from lockstep.serving.versions import LoadedVersion
from lockstep.specs.routing_spec import Routing
from lockstep.specs.serving_spec import ServedModel, Serving
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ModelRef
from tests.unit.serving.routing.asking import arm_of
from tests.unit.serving.routing.trials import CHALLENGER, CHAMPION, JSON, Registry, canary
from tests.unit.serving.toy import ROW, acall

Build = Callable[..., Endpoint]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Build:
    registry = Registry()

    def resolve(_: Settings, declared: ModelRef, *, version: int | None = None) -> ModelIdentity:
        return registry.source(declared.alias).resolve(version)

    def load_version(_: Settings, identity: ModelIdentity, **__: Any) -> LoadedVersion:
        return registry.load(identity)

    monkeypatch.setattr(served_models, "resolve", resolve)
    monkeypatch.setattr(served_models, "load_version", load_version)

    def built(routing: Routing, *, place: Place | None = None, version: int | None = None, **given: Any) -> Endpoint:
        served = ServedModel(model=ModelRef(name="toy"), routing=routing, version=version)
        settings = Settings.from_env({"LOCKSTEP_HOME": str(tmp_path)})
        return build_endpoint(Serving(models=(served,), **given), settings, folder=tmp_path, place=place)

    return built


def follows(endpoint: Endpoint) -> bool:
    """Whether a process looks for challengers by itself."""
    beside = [each.func for each in endpoint.app._beside if isinstance(each, partial)]
    return any(getattr(each, "__func__", None) is Follower.follow for each in beside)


def test_every_worker_routes_and_follows_by_itself(build: Build, tmp_path: Path) -> None:
    body = b'{"dataframe_records": [%s]}' % json.dumps(ROW).encode()
    for place in (None, Place(tmp_path, 0), Place(tmp_path, 1)):
        endpoint = build(canary(1.0), place=place)
        answer = asyncio.run(acall(endpoint.app, "/invocations", body, headers=JSON))
        assert arm_of(answer) == ("challenger", CHALLENGER)
        assert follows(endpoint)
        assert not follows(build(canary(1.0), place=place, follow_s=0))
        endpoint.app.plane.close()


def test_a_model_without_a_trial_has_nothing_of_it(build: Build) -> None:
    for endpoint in (build(Routing()), build(Routing(), version=CHAMPION)):
        assert endpoint.app.plane.arms == {}
        assert not follows(endpoint)
        body = b'{"dataframe_records": []}'
        headers = {**JSON, "x-lockstep-key": "[no key"}
        answer = asyncio.run(acall(endpoint.app, "/invocations", body, headers=headers))
        assert (answer.status, "x-lockstep-arm" in answer.headers) == (200, False)
