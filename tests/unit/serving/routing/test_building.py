"""The arms of a served model are those of its spec, unless somebody says otherwise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstep.errors import SpecError
from lockstep.run.canary_state import FOLDER
from lockstep.scoring.arms import salt_of
from lockstep.serving.fleet import ModelSlot
from lockstep.serving.metrics import Metrics
from lockstep.serving.routing.arms import Arms
from lockstep.serving.routing.building import build_arms
from lockstep.serving.routing.companions import look
from lockstep.specs.serving_spec import ServedModel
from lockstep.specs.spec import ScoringSpec
from tests.unit.serving.routing.trials import CHALLENGER, CHAMPION, Registry

SPEC = """\
name: toy
model: {name: toy}
schedule: {cron: "0 6 * * *", start: 2024-01-01}
input:
  query: features.sql
  sources:
    flights: {path: f, partition: day, days: [0, 0], columns: {tail: string, flight: long, at: timestamp}}
    planes: {path: p, columns: {tail: string, flight: string}}
partition: {column: day}
key: [day, tail, at]
output: {column: probability, further: [note]}
publish: {table: toys}
trial:
  challengers: [{alias: challenger}, {alias: deep}]
  tolerance: 0.5
  canary: {challenger: challenger, ramp: {2024-01-01: 0.5}}
"""

Build = Callable[..., Arms | None]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    def built(spec: str | None = SPEC, reread: Any = None, **served: Any) -> Arms | None:
        parsed = ScoringSpec.model_validate(yaml.safe_load(spec)) if spec else None
        named = {"spec": "toy"} if spec else {"model": {"name": "toy"}}
        model = ServedModel.model_validate({**named, **served})
        slot, registry = ModelSlot("toy"), Registry()
        given = {"home": tmp_path, "metrics": Metrics(), "reread": reread}
        return build_arms(model, parsed, slot=slot, source_of=registry.source, **given)

    return built


def test_the_trial_of_the_spec_is_followed(build: Build) -> None:
    arms = build()
    assert arms is not None
    assert arms.canary is not None
    assert (arms.canary.by, arms.canary.companion.arm, arms.canary.kept_as) == (("tail", "at"), "challenger", "toy")
    assert arms.canary.declared == {"tail": "string", "at": "timestamp", "day": "date"}
    registry = Registry()
    challenger = registry.load(registry.identity(CHALLENGER))
    assert arms.canary.split_of(challenger).salt == salt_of("toy", f"{CHALLENGER:064}")
    assert [companion.arm for companion in arms.companions] == ["challenger", "shadow_deep"]
    assert arms.shadowing is not None
    limits = arms.shadowing._limits
    assert (limits.tolerance, limits.compared, limits.sample) == (0.5, ("probability",), 1.0)


@pytest.mark.parametrize(
    "served",
    [{"routing": {"follow_spec": False}}, {"version": 3}, {"alias": "candidate"}],
)
def test_it_is_not_where_something_else_is_served(served: dict[str, Any], build: Build) -> None:
    assert build(**served) is None
    assert build(alias="champion") is not None


def test_a_spec_without_a_trial_may_have_shadows(build: Build) -> None:
    plain = SPEC.partition("trial:")[0]
    assert build(plain) is None
    arms = build(plain, routing={"shadows": ["deep"], "tolerance": 0.1})
    assert arms is not None
    assert (arms.canary, [companion.arm for companion in arms.companions]) == (None, ["shadow_deep"])


def test_an_alias_answers_or_is_a_shadow(build: Build) -> None:
    with pytest.raises(SpecError, match="'challenger' is the challenger of the canary"):
        build(routing={"shadows": ["challenger"]})
    arms = build(routing={"shadows": ["deep"]})
    assert arms is not None
    assert [companion.arm for companion in arms.companions] == ["challenger", "shadow_deep"]


def test_a_model_without_a_spec_has_what_serving_yaml_says(build: Build) -> None:
    routing = {"canary": {"alias": "challenger", "ramp": {"2024-01-01": 0.5}, "by": ["tail"]}}
    arms = build(None, routing=routing)
    assert arms is not None
    assert arms.canary is not None
    assert (arms.canary.trial, arms.canary.kept_as, arms.canary.by) == ("toy", "model=toy", ("tail",))
    assert build(None) is None


def test_the_ramp_is_that_of_the_spec_as_it_is_now(build: Build) -> None:
    now = {"spec": SPEC}

    def reread() -> ScoringSpec:
        if not now["spec"]:
            raise SpecError("scoring.yaml", ["half written"])
        return ScoringSpec.model_validate(yaml.safe_load(now["spec"]))

    arms, champion = build(reread=reread), Registry().identity(CHAMPION)
    assert arms is not None
    assert arms.canary is not None

    def seen(spec: str) -> tuple[float, str]:
        now["spec"] = spec
        assert arms is not None
        assert arms.canary is not None
        problem = look(arms.canary.companion, champion=champion).problem
        return arms.canary.ramp.share, problem

    assert seen(SPEC) == (0.5, "")
    assert seen(SPEC.replace("0.5}}", "0.75}}")) == (0.75, "")
    assert seen("") == (0.75, "")
    assert "no share" in seen(SPEC.replace("2024-01-01: 0.5", "2124-01-01: 0.5"))[1]
    assert seen(SPEC.partition("trial:")[0])[1] == "the spec has no canary any more"
    assert "start the endpoint again" in seen(SPEC.replace("0.5}}", "0.5}, by: [tail]}"))[1]
    assert seen(SPEC) == (0.5, "")


def test_when_nobody_can_tell_whether_it_was_aborted_it_is(build: Build, tmp_path: Path) -> None:
    arms, registry = build(), Registry()
    assert arms is not None
    assert arms.canary is not None
    champion = registry.identity(CHAMPION)
    assert look(arms.canary.companion, champion=champion).version is not None
    folder = tmp_path / FOLDER / "toy" / f"{CHALLENGER:064}"[:16]
    folder.mkdir(parents=True)
    (folder / "0001.json").write_text("{")
    seen = look(arms.canary.companion, champion=champion)
    assert (seen.version, "cannot be read" in seen.problem, str(tmp_path) in seen.problem) == (None, True, False)
