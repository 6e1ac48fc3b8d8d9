"""The real-time endpoint of one spec as a component."""

import os

from lockstep.run.submit import data_python, step_env
from lockstep.services.ports import LOOPBACK, Ports, answers
from lockstep.services.process import Component
from lockstep.specs.settings import Settings


def endpoint(settings: Settings, spec: str, *, ports: Ports) -> Component:
    """Return `lockstep serve <spec>`."""
    return Component(
        name="endpoint",
        command=[*_lockstep(settings), "serve", spec, "--host", LOOPBACK, "--port", str(ports.endpoint)],
        env={**os.environ, **step_env(settings)},
        cwd=settings.project_root,
        ready=lambda: answers(f"http://{LOOPBACK}:{ports.endpoint}/ping"),
        ready_timeout_s=120.0,
    )


def resolve_component(settings: Settings, spec: str) -> Component:
    """Return the command that succeeds when the model of `spec` is registered."""
    command = [*_lockstep(settings), "model", "resolve", spec, "--json"]
    return Component("resolve", command, {**os.environ, **step_env(settings)}, settings.project_root)


def _lockstep(settings: Settings) -> list[str]:
    return [str(data_python(settings, os.environ)), "-m", "lockstep"]
