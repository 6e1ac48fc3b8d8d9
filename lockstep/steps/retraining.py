"""Asking for a new model: once for each breach, not again every night that it goes on."""

import datetime as dt
from pathlib import Path

from pydantic import ValidationError

from lockstep.errors import RunFolderUnusable
from lockstep.publish.contract import Warehouse
from lockstep.quality.performance_table import PUBLISHED, read_performance, table_name
from lockstep.quality.retraining import Judgement, judge
from lockstep.run.folder import RunFolder
from lockstep.run.plan import Record
from lockstep.specs.labels_spec import Retrain
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec


class Asked(Record):
    """A new model was asked for (`retrain/<spec>.json` of Lockstep's home); gone once the limits are kept again.

    Attributes:
        model_version: The version that exceeded them.
        limits: Which, the first time.
        signal: Who asked: a DAG run, whose repeated task asks again with the same breath.
    """

    model_version: int
    limits: tuple[str, ...]
    signal: str
    asked_at: dt.datetime


class Verdict(Record):
    """The judgement of a spec's model, and whether a new one is to be asked for now.

    Attributes:
        new: The limits are exceeded, and nobody has asked for a new model because of this yet.
        asked: When it was asked for, if it was.
    """

    judgement: Judgement
    new: bool
    asked: Asked | None = None


def judge_model(spec: ScoringSpec, warehouse: Warehouse, settings: Settings) -> Verdict | None:
    """Judge the model by the latest labelled days, and change nothing; `None`: the spec has no limits.

    Raises:
        RunFolderUnusable: The record of an earlier breach cannot be read.
        PublishError: The warehouse cannot be read.
    """
    if spec.labels is None or spec.labels.retrain is None:
        return None
    judgement = _judgement(warehouse, spec, spec.labels.retrain)
    asked = read_asked(settings.home, spec.name)
    known = asked is not None and asked.model_version == judgement.model_version
    return Verdict(judgement=judgement, new=bool(judgement.breaches) and not known, asked=asked)


def ask(
    spec: ScoringSpec, warehouse: Warehouse, settings: Settings, *, signal: str, now: dt.datetime
) -> Verdict | None:
    """Judge the model, and remember that a new one was asked for, or that none is needed any more.

    Args:
        spec: The spec.
        warehouse: Where its performance table is.
        settings: Where things are.
        signal: Who asks. The same asker hears again that a breach is new, so that a task that died can be repeated.
        now: Present time.
    """
    verdict = judge_model(spec, warehouse, settings)
    if verdict is None:
        return None
    version, breaches = verdict.judgement.model_version, verdict.judgement.breaches
    if version is not None and breaches:
        if verdict.new:
            limits = tuple(breach.limit for breach in breaches)
            asked = Asked(model_version=version, limits=limits, signal=signal, asked_at=now)
            file = asked_file(settings.home, spec.name)
            RunFolder(file.parent).write_json(file.name, asked)
            return verdict.model_copy(update={"asked": asked})
        return verdict.model_copy(update={"new": verdict.asked is not None and verdict.asked.signal == signal})
    if verdict.judgement.judged and verdict.asked is not None:
        _forget(settings.home, spec.name)
        return verdict.model_copy(update={"asked": None})
    return verdict


def asked_file(home: Path, spec: str) -> Path:
    """Return where it is kept that a new model was asked for."""
    return home / "retrain" / f"{spec}.json"


def read_asked(home: Path, spec: str) -> Asked | None:
    """Return the open request for a new model of a spec, if there is one.

    Raises:
        RunFolderUnusable: It cannot be read.
    """
    file = asked_file(home, spec)
    try:
        return Asked.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise RunFolderUnusable(str(file), f"it is no record of a breach: {type(error).__name__}") from error


def _forget(home: Path, spec: str) -> None:
    file = asked_file(home, spec)
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise RunFolderUnusable(str(file), error.strerror or str(error)) from error


def _judgement(warehouse: Warehouse, spec: ScoringSpec, retrain: Retrain) -> Judgement:
    """Judge by the rows of the days up to the latest measured one, however long ago that is."""
    days = {
        entry.partition for entry in warehouse.history(table_name(spec.publish.table)) if entry.outcome != "refused"
    }
    for last in sorted(days, reverse=True):  # the latest may have no labels yet
        first = last - dt.timedelta(days=retrain.days - 1)
        rows = read_performance(warehouse, spec.publish.table, since=first, until=last)
        if any(row.measured_count and row.arm == PUBLISHED and row.partition_date == last for row in rows):
            return judge(rows, retrain)
    return Judgement()
