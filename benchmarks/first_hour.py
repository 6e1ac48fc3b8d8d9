"""Six models of other people from the registry to a published table and an endpoint, by the commands a stranger types.

    python -m benchmarks.first_hour

Models are logged by plain MLflow (tests/integration/foreign_models.py). For each: seconds of `lockstep init`, `check`,
`run` and of `serve` until its first answer, beside a script that loads the pyfunc, predicts the same day and writes a
Parquet file. What was published and answered is compared with the pyfunc's predictions; a difference ends it. Nothing
else should run on the machine. Writes benchmarks/results/first_hour.json and the table in docs/first-hour.md.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import requests

from benchmarks.machine import describe

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "first_hour.json", ROOT / "docs" / "first-hour.md"
BEGIN, END = "<!-- first_hour: begin -->", "<!-- first_hour: end -->"
LOG = ROOT / "tests" / "integration" / "foreign_models.py"
DAY = "2024-05-03"
MODELS = {
    "histgb": "scikit-learn HistGradientBoosting",
    "xgb": "XGBoost",
    "lgbm": "LightGBM",
    "net": "torch",
    "onnx": "ONNX",
    "own_code": "pyfunc with its own modules",
}
FEATURES = ["age", "income", "visits", "external"]
VECTORS = {"net": "input", "onnx": "vector"}
BARE = """\
import sys, mlflow, pandas as pd
rows = pd.read_parquet(sys.argv[2])
model = mlflow.pyfunc.load_model(f"models:/{sys.argv[1]}@champion")
names = model.metadata.get_input_schema().input_names()
tensor = {"net": "input", "onnx": "vector"}.get(sys.argv[1])
import numpy as np
given = np.stack(list(rows[tensor])).astype("float32") if tensor else rows[names]
scores = model.predict({"vector": given} if tensor == "vector" else given)
scores = next(iter(scores.values())) if isinstance(scores, dict) else np.asarray(scores)
pd.DataFrame({"customer_id": rows["customer_id"], "score": scores.reshape(len(rows))}).to_parquet(sys.argv[3])
"""


class Trial:
    """A folder of somebody who has never seen Lockstep."""

    def __init__(self, home: Path) -> None:
        """Make it: settings, registry, table."""
        self.home = home
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("LOCKSTEP_", "MLFLOW_"))}
        self.env["PATH"] = f"{Path(sys.executable).parent}:{self.env['PATH']}"
        self.env["MLFLOW_TRACKING_URI"] = f"sqlite:///{home}/mlflow.db"
        (home / "lockstep.toml").write_text('data = "."\nmodels = "models"\nhome = "var"\n')
        self.timed(sys.executable, str(LOG), self.env["MLFLOW_TRACKING_URI"])

    def timed(self, *command: str) -> float:
        """Run a command; return its seconds."""
        began = time.perf_counter()
        done = subprocess.run(command, cwd=self.home, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return time.perf_counter() - began

    def measure(self, name: str) -> dict[str, float]:
        """Take one model all the way.

        Raises:
            AssertionError: A score is not the pyfunc's.
        """
        part = f"customers/snapshot_date={DAY}/part-0.parquet"
        bare_s = self.timed(sys.executable, "-c", BARE, name, part, f"{name}.parquet")
        bare = pd.read_parquet(self.home / f"{name}.parquet").sort_values("customer_id")
        found = {
            "init": self.timed("lockstep", "init", name, "customers", "--yes"),
            "check": self.timed("lockstep", "check", name),
            "run": self.timed("lockstep", "run", name, "--date", DAY),
        }
        output = "risk" if name == "onnx" else "prediction"
        with duckdb.connect(str(self.home / "var" / "warehouse.duckdb"), read_only=True) as warehouse:
            rows = warehouse.table(f"{name}_scores").project(f"customer_id, {output}").order("customer_id").fetchall()
        np.testing.assert_array_equal([row[0] for row in rows], bare["customer_id"])
        np.testing.assert_allclose([row[1] for row in rows], bare["score"], rtol=1e-6)
        found["serve"] = self.answered(name, part, bare.set_index("customer_id")["score"])
        return {**found, "minutes": sum(found.values()) / 60, "pyfunc": bare_s}

    def answered(self, name: str, part: str, expected: "pd.Series[float]") -> float:
        """Serve a model; return the seconds until ten rows are answered."""
        rows = pd.read_parquet(self.home / part)[:10]
        if name in VECTORS:
            body: dict[str, Any] = {"inputs": [row.tolist() for row in rows[VECTORS[name]]]}
        else:
            body = {"dataframe_split": rows[FEATURES].to_dict(orient="split", index=False)}
        began = time.perf_counter()
        command = ["lockstep", "serve", name, "--port", "0"]
        with subprocess.Popen(
            command, cwd=self.home, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as server:
            try:
                seen = (re.search(r"http://127\S+", line) for line in server.stdout or ())
                url = next(match[0] for match in seen if match)
                answer = requests.post(f"{url}/invocations", json=body, timeout=30)
                answer.raise_for_status()
                scores = answer.json()["predictions"]
                seconds = time.perf_counter() - began
            finally:
                server.terminate()
                server.communicate()
        plain = [next(iter(each.values())) if isinstance(each, dict) else each for each in scores]
        wanted = expected[rows["customer_id"]].to_numpy()
        np.testing.assert_allclose(np.asarray(plain, float).reshape(-1), wanted, rtol=1e-6)
        return seconds


def main() -> None:
    """Measure, print, write the result and its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    wanted = parser.parse_args().models
    with tempfile.TemporaryDirectory(prefix="first-hour-") as folder:
        trial = Trial(Path(folder))
        found = {}
        for name in wanted:
            found[name] = {step: round(value, 2) for step, value in trial.measure(name).items()}
            print(name, found[name], flush=True)
    if wanted == list(MODELS):
        RESULTS.write_text(json.dumps({"machine": describe(os.cpu_count() or 1), "seconds": found}, indent=1) + "\n")
        page = PAGE.read_text()
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{table(found)}\n{END}{after}")


def table(found: dict[str, dict[str, float]]) -> str:
    """Return the result as the table of a page."""
    head = "| model | `init` | `check` | `run` | `serve`, first answer | together | a script with its pyfunc |\n"
    lines = [
        f"| {MODELS[name]} | {one['init']:.0f} s | {one['check']:.0f} s | {one['run']:.0f} s | {one['serve']:.0f} s "
        f"| {one['minutes']:.1f} min | {one['pyfunc']:.0f} s |"
        for name, one in found.items()
    ]
    return head + "|---|---:|---:|---:|---:|---:|---:|\n" + "\n".join(lines)


if __name__ == "__main__":
    main()
