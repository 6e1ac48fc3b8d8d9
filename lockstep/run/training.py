"""What a training run works on: its days, its folder, its command line."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from lockstep.errors import DateInvalid
from lockstep.run.submit import data_python
from lockstep.specs.settings import Settings
from lockstep.specs.settings_file import layered
from lockstep.specs.spec import ScoringSpec
from lockstep.specs.training_spec import Training

ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class TrainingDays:
    """Days to train on, and the days after them to validate on; all ends are included."""

    first: dt.date
    last: dt.date
    valid_first: dt.date
    valid_last: dt.date

    def options(self) -> list[str]:
        """Return them as arguments of jobs/build_training_set.py."""
        names = ("--train-from", "--train-to", "--valid-from", "--valid-to")
        days = (self.first, self.last, self.valid_first, self.valid_last)
        return [word for name, day in zip(names, days, strict=True) for word in (name, day.isoformat())]


def retrain_asset(spec: str) -> tuple[str, str]:
    """Return name and URI of the asset whose update asks for a training of a spec's model."""
    return f"retrain/{spec}", f"lockstep://retrain/{spec}"


def training_of(spec: ScoringSpec) -> Training:
    """Return what a spec declares about training; only a spec that declares it may be asked."""
    if spec.training is None:
        raise ValueError(f"spec {spec.name} declares no training")
    return spec.training


def training_days(spec: ScoringSpec, *, first: dt.date | None, last: dt.date | None, now: dt.datetime) -> TrainingDays:
    """Return the days of a training run: those that were asked for, else the spec's, else the latest known ones.

    Args:
        spec: Its schedule bounds the days.
        first: First training day that was asked for.
        last: Last one.
        now: Aware current time.

    Raises:
        DateInvalid: There are no days, or their outcomes are not known yet.
    """
    schedule, training = spec.schedule, training_of(spec)
    today = now.astimezone(ZoneInfo(schedule.timezone)).date()
    known = min(today - ONE_DAY, schedule.end or today) - training.label_delay_days * ONE_DAY
    to = last or training.last_day or known - training.validation_days * ONE_DAY
    since = first or training.first_day or max(schedule.start, to - (training.days - 1) * ONE_DAY)
    found = TrainingDays(since, to, to + ONE_DAY, to + training.validation_days * ONE_DAY)
    if since < schedule.start:
        raise DateInvalid(since.isoformat(), problem=f"is before schedule.start {schedule.start} of the spec")
    if to < since:
        raise DateInvalid(to.isoformat(), problem=f"is no last training day for the first one {since}")
    if found.valid_last > known:
        advice = f"the last training day may be {known - training.validation_days * ONE_DAY}"
        problem = f"is the last of {training.validation_days} validation days, whose outcomes are not known yet"
        raise DateInvalid(found.valid_last.isoformat(), problem=problem, advice=advice)
    return found


def training_set_folder(settings: Settings, spec: str) -> Path:
    """Return where the DAG of a spec keeps its training set; apart from that of `make train`."""
    return settings.home / "retraining" / spec


def script_command(
    spec: ScoringSpec, days: TrainingDays, *, settings: Settings, environ: Mapping[str, str]
) -> list[str]:
    """Return the command line of the training script."""
    training = training_of(spec)
    places = {
        "training_set": str(training_set_folder(settings, spec.name)),
        "alias": training.alias,
        "model": spec.model.name,
        "first_day": days.first.isoformat(),
        "last_day": days.last.isoformat(),
        "tracking_uri": settings.tracking_uri,
    }
    python = (
        training_python(settings, environ) if training.environment == "training" else data_python(settings, environ)
    )
    script = settings.models_root / spec.name / training.script
    return [str(python), str(script), *(argument.format_map(places) for argument in training.arguments)]


def training_python(settings: Settings, environ: Mapping[str, str]) -> Path:
    """Return the training interpreter: `LOCKSTEP_TRAINING_PYTHON`, else that of `make setup`."""
    default = settings.project_root / ".venv" / "training" / "bin" / "python"
    return Path(layered(environ).get("LOCKSTEP_TRAINING_PYTHON", default))
