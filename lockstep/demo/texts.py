"""The text model, apart from the demo's week: a corpus that every Python brings, published weights, one command."""

import os
from pathlib import Path

from lockstep.data.docstrings import DAYS, FIRST_DAY, ingest_docstrings
from lockstep.demo.story import Story
from lockstep.run.submit import data_python, step_env
from lockstep.services.process import Component
from lockstep.services.supervisor import Supervisor
from lockstep.specs.settings import TELEMETRY_OFF, Settings
from lockstep.storage.files import on_disk

SPEC = "text_embedding"


def load_texts(settings: Settings, story: Story) -> None:
    """Write the docstrings of the standard library as Parquet by day; done once."""
    with story.step("Texts: the docstrings of Python's standard library, as Parquet by day") as tell:
        rows, reused = ingest_docstrings(on_disk(settings.data_root))
        verb = "already there:" if reused else "wrote"
        tell(f"{verb} {rows:,} texts of {DAYS} days in {settings.data_root}")


def register_encoder(supervisor: Supervisor, settings: Settings, story: Story) -> None:
    """Register the published weights; what is registered is not registered again."""
    with story.step("Model: all-MiniLM-L6-v2 goes to MLflow with the alias `champion`") as tell:
        script = settings.models_root / SPEC / "register.py"
        command = [str(Path(data_python(settings, os.environ))), str(script)]
        environment = {**os.environ, **step_env(settings), **TELEMETRY_OFF}
        component = Component("register", command, environment, settings.project_root)
        tell(supervisor.run(component, what="registering text_embedding")[-1])
    story.say(f"Next: .venv/data/bin/lockstep run {SPEC} --date {FIRST_DAY}")
