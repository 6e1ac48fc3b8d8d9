"""Ready-made requests: rows of a benchmark's workload in a form, as the bytes that go over the wire."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.compare import prepare
from benchmarks.job import Job
from benchmarks.promises.forms import FORMS, GRPC, grpc_request
from benchmarks.serving.lockstep_spec import write_spec
from benchmarks.serving.server import variables
from benchmarks.serving.systems import MODELS
from benchmarks.workloads.workload import SEED, find_workload

PREPARED_ROWS = 64
WORKLOADS = {"mlp20": "mlp20", "trees": "trees", "minilm": "text"}


def prepared(workload: str, *, cores: int) -> Job:
    """Make model and spec of a workload, unless they are there."""
    job = prepare(WORKLOADS[workload], rows=PREPARED_ROWS, cores=cores)
    write_spec(job)
    return job


def environment_of(job: Job, home: Path) -> dict[str, str]:
    """Return the environment of an endpoint that serves a job's model; what it keeps is below a folder of its own."""
    from benchmarks.serving.systems import SYSTEMS

    own = {"LOCKSTEP_MODELS": str(MODELS), "LOCKSTEP_HOME": str(home)}
    return variables(SYSTEMS["lockstep"], job, own)


def draw_rows(job: Job, rows: int, *, seed: int = SEED) -> pa.Table:
    """Draw rows of a workload's inputs."""
    return pa.table(find_workload(job.workload).features(np.random.default_rng(seed), rows))


def ask_bytes(form: str, rows: pa.Table, *, model: str) -> bytes:
    """Return a request: of REST the whole of it, of gRPC the message."""
    if form in GRPC:
        message: bytes = grpc_request(model, rows, raw=GRPC[form]).SerializeToString()
        return message
    entry = FORMS[form]
    body, headers = entry.write(rows)
    return http_bytes(entry.path.format(model=model), body, headers)


def http_bytes(path: str, body: bytes, headers: "dict[str, str] | object") -> bytes:
    """Return a whole POST request."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in {**dict(headers), "Content-Length": str(len(body))}.items()]  # type: ignore[call-overload]
    return "\r\n".join([*lines, "", ""]).encode() + body
