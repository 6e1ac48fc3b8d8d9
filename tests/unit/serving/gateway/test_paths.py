"""Each path of the endpoint is passed on or refused, because somebody decided so."""

import re
from typing import Any

from lockstep.serving.gateway.messages import refusals
from lockstep.serving.gateway.paths import GRPC, REST, Passed
from lockstep.serving.grpc.servicer import SERVICE
from lockstep.serving.lookups import PATH as LOOKUP
from tests.unit.serving.gateway.configurations import facts_of

CHANGES = ("load", "unload", "rollback", "canary/abort", "canary/resume")


def decided(passed: Passed, path: str) -> list[str]:
    kinds = ("scored", "read", "open", "refused", "streams")
    return [kind for kind in kinds if (regex := getattr(passed, kind)) and re.fullmatch(regex, path)]


def test_every_route_of_rest_is_decided_once(app: Any) -> None:
    paths = {(route.path, route.action) for route in app.router.routes}
    paths |= {(LOOKUP, "infer"), ("/v2/repository/index", "read"), ("/status", "metrics"), ("/status.json", "metrics")}
    paths |= {(f"/v2/repository/models/{{name}}/{change}", "admin") for change in CHANGES}
    assert len(paths) > 20
    for path, action in paths:
        (kind,) = decided(REST, path.replace("{name}", "flight delay").replace("{version}", "3"))
        assert (kind == "open") == (action is None), path
        assert (kind == "refused") == (action in {"admin", "metrics"}), path
        assert (kind == "scored") == (action == "infer" and path != LOOKUP), path


def test_every_method_of_grpc_is_decided_once() -> None:
    names = [f"/{SERVICE.full_name}/{method.name}" for method in SERVICE.methods]
    assert all(len(decided(GRPC, name)) == 1 for name in names), names
    assert decided(GRPC, f"/{SERVICE.full_name}/RepositoryModelLoad") == ["refused"]
    for stream in ("/grpc.health.v1.Health/Watch", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"):
        assert decided(GRPC, stream) == ["streams"]


def test_nothing_else_is_passed_on() -> None:
    for path in ("/v2/models/a/infer/x", "/v2/modelsx", "/metricsx", "/", "/invocations/"):
        assert decided(REST, path) == (["read"] if path == "/" else [])
    assert decided(GRPC, "/inferenceXGRPCInferenceService/ModelInfer") == []


def test_what_is_said_can_be_written_between_quotation_marks() -> None:
    for refusal in refusals(facts_of()).values():
        assert not set("'$\\%") & set(refusal.text)
