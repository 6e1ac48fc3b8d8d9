"""Check published scores against plain MLflow, without a line of Lockstep.

    .venv/data/bin/python tools/compare_with_mlflow.py --from 2013-08-01 --to 2013-08-07

For every published day: takes the input rows that the run kept, scores them with `mlflow.pyfunc.load_model` of the
version that the rows are stamped with, and compares key by key with the table in the warehouse.

Exit codes: 0 equal within the tolerance, 1 different, 2 wrong arguments.
"""

import argparse
import datetime as dt
import os
import sys
from pathlib import Path

import duckdb
import mlflow
import pandas as pd

HOME = Path(os.environ.get("LOCKSTEP_HOME", Path(__file__).parents[1] / "var")).absolute()
KEY = ["flight_date", "carrier", "flight", "origin", "dest", "sched_dep_time"]
SCORE = "probability_late"


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    day = dt.date.fromisoformat
    parser.add_argument("--from", dest="first", type=day, required=True, metavar="DAY")
    parser.add_argument("--to", dest="last", type=day, required=True, metavar="DAY")
    parser.add_argument("--table", default="flight_delay_scores")
    parser.add_argument("--tolerance", type=float, default=1e-6)
    return parser.parse_args()


def input_rows(day: dt.date, run_key: str) -> pd.DataFrame:
    """Return the rows that a run was given to score."""
    folders = list((HOME / "runs").glob(f"*/{day}/{run_key}/input"))
    if len(folders) != 1:
        sys.exit(f"{day}: expected one run folder with run key {run_key} below {HOME / 'runs'}, got {len(folders)}")
    return pd.read_parquet(folders[0])


def compare_day(day: dt.date, published: pd.DataFrame, *, tolerance: float) -> int:
    """Compare one day; print a line and return how many rows differ."""
    [run_key], [version] = published["run_key"].unique(), published["model_version"].unique()
    rows = input_rows(day, run_key)
    model = mlflow.pyfunc.load_model(f"models:/{published['model_name'].iloc[0]}/{version}")
    features = [column.name for column in model.metadata.signature.inputs.inputs]
    rows["expected"] = model.predict(rows[features])[SCORE]
    rows["flight_date"] = pd.to_datetime(rows["flight_date"])
    both = published.merge(rows[[*KEY, "expected"]], on=KEY, how="outer", indicator=True, validate="one_to_one")
    unmatched = int((both["_merge"] != "both").sum())
    error = (both[SCORE] - both["expected"]).abs()
    wrong = unmatched + int((error > tolerance).sum())
    print(f"{day}  version {version}  {len(both):5d} rows  largest difference {error.max():.1e}  {wrong} differ")
    return wrong


def main() -> int:
    """Compare all days."""
    arguments = parse_arguments()
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{HOME}/mlflow/mlflow.db"))
    with duckdb.connect(str(HOME / "warehouse.duckdb"), read_only=True) as connection:
        query = f"SELECT * FROM {arguments.table} WHERE flight_date BETWEEN ? AND ?"
        table = connection.execute(query, [arguments.first, arguments.last]).df()
    table["flight_date"] = pd.to_datetime(table["flight_date"])
    days = list(pd.date_range(arguments.first, arguments.last))
    wrong = 0
    for day in days:
        published = table[table["flight_date"] == day]
        if published.empty:
            print(f"{day.date()}  nothing is published")
            wrong += 1
        else:
            wrong += compare_day(day.date(), published, tolerance=arguments.tolerance)
    print(f"{len(days)} days, {len(table)} rows, tolerance {arguments.tolerance:g}: {wrong} differ")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
