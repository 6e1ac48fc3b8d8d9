"""Print how far each day of 2013 lies from training, for the features of `flight_delay` that need no history.

    LOCKSTEP_HOME=var .venv/data/bin/python -m benchmarks.drift_year

What flies (carrier, route, aircraft, hour) is read from the source tables, binned as in the champion's baseline, and
compared with it, day by day: the ground for the limits in models/flight_delay/scoring.yaml. Takes a minute, no Spark.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.quality.drift import drift_of
from lockstep.registry.cache import fetch_artifact
from lockstep.registry.loading import baseline
from lockstep.registry.resolve import resolve_model
from lockstep.scoring.profile import Profile
from lockstep.specs.settings import Settings

TEXTS = ("carrier", "origin", "dest")
NUMBERS = ("distance_miles", "dep_hour", "dep_minute", "arr_hour", "seats", "engines", "plane_age_years")
SHOWN = (0.5, 0.99, 1.0)


def main() -> None:
    settings = Settings.from_env(os.environ)
    model = resolve_model(settings.tracking_uri, "flight_delay", alias="champion")
    training = baseline(fetch_artifact(model, settings.cache_root))
    if training is None:
        raise SystemExit("the champion carries no baseline")
    wanted = {"columns": {name: training.to_json()["columns"][name] for name in (*TEXTS, *NUMBERS)}}
    rows = []
    for day, flights in features(settings.data_root).groupby("flight_date"):
        profile = counted(flights, training)
        rows += [
            {"day": day, "column": d.column, "psi": d.psi, "js": d.js, "ks": d.ks} for d in drift_of(wanted, profile)
        ]
    found = pd.DataFrame(rows)
    print(f"{found['day'].nunique()} days of 2013 against training: median, 99th percentile and greatest of the days")
    for name, group in found.groupby("column"):
        cells = [
            f"{metric} " + " ".join(f"{group[metric].quantile(q):.3f}" for q in SHOWN) for metric in ("psi", "js", "ks")
        ]
        print(f"{name:16} {'   '.join(cells)}")
    print(f"greatest psi of any column on any day: {found['psi'].max():.4f}")


def counted(flights: pd.DataFrame, training: Profile) -> dict[str, object]:
    counter = Profile({name: training.counter().columns[name] for name in (*TEXTS, *NUMBERS)})
    texts = {name: pa.array(flights[name], pa.string(), from_pandas=True) for name in TEXTS}
    numbers = {name: flights[name].to_numpy(dtype=np.float64) for name in NUMBERS}
    counter.update({**texts, **numbers}, rows=len(flights))
    return counter.to_json()


def features(data_root: Path) -> pd.DataFrame:
    """As models/flight_delay/features.sql makes them."""
    days = sorted((data_root / "flights").glob("flight_date=2013-*"))
    columns = ["carrier", "tailnum", "origin", "dest", "sched_arr_time", "distance", "hour", "minute"]
    parts = [
        pq.read_table(file, columns=columns, partitioning=None).to_pandas().assign(flight_date=day.name[-10:])
        for day in days
        for file in day.glob("*.parquet")
    ]
    planes = pq.read_table(data_root / "planes", columns=["tailnum", "year", "engines", "seats"]).to_pandas()
    rows = pd.concat(parts, ignore_index=True).merge(planes, on="tailnum", how="left")
    return rows.assign(
        distance_miles=rows["distance"],
        dep_hour=rows["hour"],
        dep_minute=rows["minute"],
        arr_hour=rows["sched_arr_time"] // 100,
        plane_age_years=2013 - rows["year"],
    )


if __name__ == "__main__":
    main()
