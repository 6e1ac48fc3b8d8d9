"""Fourteen real days with a canary: shares, stickiness, the ramp, an abort, and what is live after each day.

    .venv/data/bin/python -m benchmarks.canary_days [--home FOLDER]

Data and models are made first (`lockstep demo --only train`, and a second training with another seed): some minutes,
once per folder. Then `lockstep run` scores 1 to 14 August 2013, a day at a time. The challenger is a good model up to
the tenth day, then for two days one that gives every flight the same score, then the good one again. Ends with an error
at the first row that is not as it should be.
"""

import argparse
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from lockstep.registry.resolve import move_alias, resolve_model
from lockstep.run.canary import published_manifest
from lockstep.run.folder import RunFolder
from lockstep.run.submit import step_env
from lockstep.scoring.arms import Split, salt_of
from lockstep.specs.settings import Settings

ROOT = Path(__file__).parents[1]
SPEC, TABLE, SCORE, BY = "flight_delay", "flight_delay_scores", "probability_late", "tailnum"
DAYS = [dt.date(2013, 8, 1) + dt.timedelta(days=number) for number in range(14)]
RAMP = {DAYS[1]: 0.05, DAYS[5]: 0.2, DAYS[8]: 0.5}
BAD_DAYS = DAYS[10:12]
ALIAS, SEED = "challenger", 2014
TRIAL = {
    "challengers": [{"alias": ALIAS}],
    "tolerance": 0.05,
    "canary": {"challenger": ALIAS, "ramp": RAMP, "by": [BY], "guardrails": {"max_mean_shift": 0.2}},
}
# Aircraft fly several times a day, so shares of the rows lie farther from the fraction than those of lone rows would.
FARTHEST = 0.06
BAD_MODEL = """\
import mlflow
import numpy as np
import pandas as pd


class Bad(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        return pd.DataFrame({"probability_late": np.full(len(model_input), 0.95)})


mlflow.models.set_model(Bad())
"""


@dataclass
class Proof:
    """What was seen so far.

    Attributes:
        arms: Lowest fraction at which an aircraft was in the good challenger's arm, and highest at which it was not.
    """

    settings: Settings
    versions: Mapping[str, int]
    inside: dict[Any, float] = field(default_factory=dict)
    outside: dict[Any, float] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description="Prove a canary over fourteen real days.")
    parser.add_argument("--home", type=Path, default=ROOT / "var" / "bench" / "canary", help="where all of it lies")
    home = parser.parse_args().home.absolute()
    os.environ.update(LOCKSTEP_HOME=str(home), LOCKSTEP_MODELS=str(home / "models"), LOCKSTEP_ACTOR="canary_days")
    settings = Settings.from_env(os.environ)
    proof = Proof(settings, prepare(settings))
    print(f"{'day':10}  asked  {'outcome':8} version   rows  challenger  share  fell back  reason")
    for day in DAYS:
        version = proof.versions["bad" if day in BAD_DAYS else "good"]
        move_alias(settings.tracking_uri, SPEC, alias=ALIAS, version=version)
        print(prove_day(proof, day, version), flush=True)
    prove_repetition(proof)
    print(f"{len(proof.inside)} aircraft were in the arm, {len(proof.outside)} out of it, none left it while it grew")
    print("all as it should be")


def prepare(settings: Settings) -> dict[str, int]:
    """Make data, models, spec and an empty warehouse; return the model versions."""
    home = settings.home
    run(["-m", "lockstep", "demo", "--only", "train"], LOCKSTEP_MODELS=str(ROOT / "models"))
    training = os.environ.get("LOCKSTEP_TRAINING_PYTHON", str(ROOT / ".venv" / "training" / "bin" / "python"))
    arguments = ["--training-set", str(home / "training" / SPEC), "--seed", str(SEED), "--alias", "good"]
    run([str(ROOT / "models" / SPEC / "train.py"), *arguments], python=training)
    uri = settings.tracking_uri
    versions = {alias: resolve_model(uri, SPEC, alias=alias).version for alias in ("champion", "good")}
    for leftover in ("runs", "canaries", "models"):
        shutil.rmtree(home / leftover, ignore_errors=True)
    Path(settings.warehouse("duckdb")).unlink(missing_ok=True)
    shutil.copytree(ROOT / "models" / SPEC, home / "models" / SPEC, ignore=shutil.ignore_patterns("__pycache__"))
    spec = home / "models" / SPEC / "scoring.yaml"
    spec.write_text(yaml.safe_dump({**yaml.safe_load(spec.read_text()), "trial": TRIAL}, sort_keys=False))
    return {**versions, "bad": register_bad(settings)}


def register_bad(settings: Settings) -> int:
    """Register a model that gives every flight the same score."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    champion = resolve_model(settings.tracking_uri, SPEC, alias="champion")
    inputs, outputs = ([ColSpec(c.dtype, c.name) for c in side] for side in (champion.inputs, champion.outputs))
    script = settings.home / "bad_model.py"
    script.write_text(BAD_MODEL)
    mlflow.set_tracking_uri(settings.tracking_uri)
    mlflow.set_experiment(SPEC)
    with warnings.catch_warnings(), mlflow.start_run():
        warnings.simplefilter("ignore")
        made = mlflow.pyfunc.log_model(
            name="bad",
            python_model=str(script),
            signature=ModelSignature(Schema(inputs), Schema(outputs)),
            pip_requirements=["pandas"],
            registered_model_name=SPEC,
        )
    return int(made.registered_model_version)


def prove_day(proof: Proof, day: dt.date, version: int) -> str:
    """Run a day and check its live rows; return its line of the table."""
    asked = max((share for start, share in RAMP.items() if start <= day), default=0.0)
    facts = lockstep_run(day)
    told, folder = facts["steps"]["canary"], RunFolder(Path(facts["run_folder"]))
    wanted = "off" if not asked or day == BAD_DAYS[1] else "aborted" if day == BAD_DAYS[0] else "active"
    require(told["outcome"] == wanted, f"{day}: the canary is {told['outcome']}, not {wanted}: {told['reasons']}")
    share = asked if wanted == "active" else 0.0
    live, own = live_rows(proof.settings, day), staged_rows(folder)
    require(len(live) == len(own) > 500, f"{day}: {len(live)} rows are live, the champion scored {len(own)}")
    digest = resolve_model(proof.settings.tracking_uri, SPEC, version=version).digest
    split = Split(salt_of(SPEC, digest), (BY,))
    positions = split.positions(pa.table({BY: pa.array(live[BY], pa.string(), from_pandas=True)}))
    inside = positions < share
    expected = live["model_version"].where(~inside, version).where(inside, proof.versions["champion"])
    require(bool((live["model_version"] == expected).all()), f"{day}: a row is not of the model of its arm")
    check_scores(folder, live, own, inside=inside, day=day)
    made = int(inside.sum())
    require(told.get("rows_challenger", 0) == made, f"{day}: the record says {told}, live are {made} of the challenger")
    require(abs(made / len(live) - share) < FARTHEST, f"{day}: {made} of {len(live)} rows for a share of {share}")
    if wanted == "active":
        check_arms(proof, live[BY], inside, share=share)
    check_ledger(proof.settings, day, wanted, made=made, rows=len(live), version=version)
    reason = "; ".join(told["reasons"])[:90]
    return (
        f"{day}  {asked:5.0%}  {wanted:8} {version:7}  {len(live):5}  {made:10}  {made / len(live):5.1%}  "
        f"{told.get('fell_back', 0):9}  {reason}"
    )


def check_scores(folder: RunFolder, live: pd.DataFrame, own: pd.DataFrame, *, inside: Any, day: dt.date) -> None:
    """Every live score is to the bit what its model gave, and the shadow table has all of the challenger's."""
    require(live["key"].tolist() == own["key"].tolist(), f"{day}: other keys are live than were scored")
    require(live[SCORE][~inside].tolist() == own[SCORE][~inside].tolist(), f"{day}: a score of the champion differs")
    if inside.any():
        theirs = staged_rows(folder.challenger(ALIAS))
        same = live[SCORE][inside].tolist() == theirs[SCORE][inside].tolist()
        require(same, f"{day}: a score of the challenger differs from what it gave")
        mixed = published_manifest(folder, step="benchmark").rows_staged
        require(mixed == len(live), f"{day}: the mixture has {mixed} rows")


def check_arms(proof: Proof, aircraft: Sequence[Any], inside: Sequence[bool], *, share: float) -> None:
    """No aircraft that was in is out at the same share or a greater one, and none that was out is in at a smaller."""
    for tail, is_in in zip(aircraft, inside, strict=True):
        if is_in:
            proof.inside[tail] = min(share, proof.inside.get(tail, 1.0))
        else:
            proof.outside[tail] = max(share, proof.outside.get(tail, 0.0))
        out, back = proof.outside.get(tail), proof.inside.get(tail)
        require(out is None or back is None or out < back, f"aircraft {tail} changed its arm at a share of {share}")


def check_ledger(settings: Settings, day: dt.date, outcome: str, *, made: int, rows: int, version: int) -> None:
    """The ledger says who made how much."""
    ((checks,),) = query(
        settings,
        f"SELECT checks FROM lockstep_ledger WHERE table_name = '{TABLE}' AND partition_date = '{day}'",  # noqa: S608
    )
    texts = {
        "active": f"canary: {100 * made / rows:.1f} % of the rows by version {version}; ",
        "aborted": f"canary: version {version} aborted; ",
    }
    begins = texts.get(outcome, "")
    require(
        checks.startswith(begins) and checks.startswith("canary") == bool(begins), f"{day}: the ledger says {checks}"
    )


def prove_repetition(proof: Proof) -> None:
    """A day with a mixture, and the day of the abort, are left alone when they are run again."""
    for day in (DAYS[2], BAD_DAYS[0]):
        version = proof.versions["bad" if day in BAD_DAYS else "good"]
        move_alias(proof.settings.tracking_uri, SPEC, alias=ALIAS, version=version)
        before = live_rows(proof.settings, day)
        done = lockstep_run(day)["steps"]["publish"]
        require(done["outcome"] == "noop", f"{day} again: {done}")
        require(live_rows(proof.settings, day).equals(before), f"{day} again: other rows are live")
    print(f"{DAYS[2]} and {BAD_DAYS[0]} again: nothing to do, the same rows are live")


def live_rows(settings: Settings, day: dt.date) -> pd.DataFrame:
    """Return the live rows of a day, by key."""
    file = settings.warehouse("duckdb")
    with duckdb.connect(file, read_only=True) as connection:
        rows = connection.execute(f"SELECT * FROM {TABLE} WHERE flight_date = '{day}'").df()  # noqa: S608
    return _keyed(rows)


def staged_rows(folder: RunFolder) -> pd.DataFrame:
    """Return the rows that a run's own model scored, by key."""
    units = folder.manifest(step="benchmark").units
    return _keyed(pd.concat([pq.ParquetFile(folder.file(unit.staged)).read().to_pandas() for unit in units]))


def _keyed(rows: pd.DataFrame) -> pd.DataFrame:
    key = ["carrier", "flight", "origin", "dest", "sched_dep_time"]
    named = rows.assign(key=rows[key].astype(str).agg("/".join, axis=1))
    return named.sort_values("key", ignore_index=True)


def query(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(settings.warehouse("duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def lockstep_run(day: dt.date) -> dict[str, Any]:
    """Run a day as a user does; return its figures."""
    lines = run(["-m", "lockstep", "run", SPEC, "--date", day.isoformat(), "--json"]).splitlines()
    facts: dict[str, Any] = json.loads(lines[-1])
    return facts


def run(arguments: Sequence[str], *, python: str = sys.executable, **environment: str) -> str:
    """Run Python; return its output, or end with its error."""
    env = {**os.environ, **step_env(Settings.from_env(os.environ)), **environment}
    done = subprocess.run([python, *arguments], env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"{' '.join(arguments)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def require(ok: bool, what: str) -> None:  # noqa: FBT001
    if not ok:
        raise SystemExit(f"not as it should be: {what}")


if __name__ == "__main__":
    main()
