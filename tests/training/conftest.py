"""Training tests run in the training environment: `.venv/training/bin/python -m pytest tests/training`."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

MODEL_FOLDER = Path(__file__).parents[2] / "models" / "flight_delay"
IN_TRAINING_ENVIRONMENT = importlib.util.find_spec("petastorm") is not None
collect_ignore_glob = [] if IN_TRAINING_ENVIRONMENT else ["test_*.py"]

# The script's own folder is what Python puts first when the script is run.
sys.path.insert(0, str(MODEL_FOLDER))

ROWS = {"train": 5_003, "valid": 1_001}  # no multiple of a batch, of a row group or of the number of files
VOCABULARY = {"carrier": ["AA", "UA"], "dest": ["ATL", "BOS", "SFO"]}
NUMBERS = ["distance_miles", "gust_mph"]


def pytest_configure(config: pytest.Config) -> None:
    """Warnings stay errors, except those that Petastorm and MLflow cause inside themselves."""
    for text in (
        "ignore:.*is deprecated as of:FutureWarning",
        "ignore:.*:FutureWarning:petastorm",
        "ignore:.*:DeprecationWarning:petastorm",
        "ignore:pkg_resources:",
        "ignore:unclosed file:ResourceWarning",
        "ignore:.*Any type hint is inferred as AnyType:UserWarning",
    ):
        config.addinivalue_line("filterwarnings", text)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.training)


def write_split(folder: Path, rows: int, *, seed: int) -> int:
    """Write a split whose label follows its columns; return the number of positive rows."""
    random = np.random.default_rng(seed)
    codes = {name: random.integers(1, len(values) + 1, rows) for name, values in VOCABULARY.items()}
    distance, gust = random.uniform(100, 2500, rows), random.uniform(0, 40, rows)
    gust[random.random(rows) < 0.5] = np.nan
    log_odds = codes["carrier"] - 1.5 + np.nan_to_num(gust, nan=10.0) / 10 - 1.5
    label = (random.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(np.int32)
    table = pa.table(
        {
            **{name: pa.array(values, pa.int32()) for name, values in codes.items()},
            "distance_miles": distance,
            "gust_mph": pa.array(gust, from_pandas=True),
            "label": label,
        }
    )
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, rows, rows // 2)):
        pq.write_table(table.slice(start, rows // 2), folder / f"part-{number}.parquet", row_group_size=700)
    return int(label.sum())


@pytest.fixture(scope="session")
def training_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small training set; its path has a space in it."""
    folder = tmp_path_factory.mktemp("with space") / "set"
    splits = {}
    for seed, (name, rows) in enumerate(ROWS.items()):
        splits[name] = {"rows": rows, "positive": write_split(folder / name, rows, seed=seed)}
    meta = {
        "spec": "flight_delay",
        "model": "flight_delay",
        "output": "probability_late",
        "categorical": [{"name": name, "values": values} for name, values in VOCABULARY.items()],
        "numeric": NUMBERS,
        "label": "label",
        "splits": splits,
        "fingerprint": "x",
    }
    (folder / "training_set.json").write_text(json.dumps(meta))
    return folder
