"""A million requests of all kinds: is the endpoint afterwards what it was before?

    python -m benchmarks.promises.soak --requests 1000000

Clients of REST and gRPC ask in every form, mostly small requests and some of 64 rows, a few that are wrong, and some
that go away without waiting; answers are logged, metrics are scraped. The exit code is 1 unless memory, open files and
threads stay within the bounds that are printed, every answer has the right status and the bytes that it had before, and
the endpoint itself counts no status of 500 or above.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.job import ROOT, Job, environment
from benchmarks.promises.endpoint import Endpoint, endpoint
from benchmarks.promises.forms import FORMS, GRPC, JSON
from benchmarks.promises.questions import WORKLOADS, ask_bytes, draw_rows, environment_of, http_bytes, prepared
from benchmarks.promises.soaker import OK, Order, Told
from benchmarks.promises.vitals import Bounds, Vitals, growth, look
from benchmarks.serving.asking import in_base64
from benchmarks.serving.server import HOST

REQUESTS, MOST_ROWS = 512, 64
BAD_SHARE, GRPC_SHARE = 0.02, 0.15
GONE_EVERY = 250
LOOKS, SHORTEST_S = 400, 0.2
BAD = (
    (b'{"dataframe_split": {"columns": ["f000"], "data": [[1.5]]}}', JSON),
    (b'{"dataframe_records": [{"f000": "text"}]}', JSON),
    (b'{"inputs": [', JSON),
    (b"f000,f001\n1.5", {"Content-Type": "text/csv"}),
)
REFUSED = 400


def main() -> int:
    """Soak; print what was seen."""
    options = arguments().parse_args()
    job = prepared(options.workload, cores=2)
    bounds = Bounds(options.last_half_mib, options.since_warm_mib)
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as scratch:
        home = Path(scratch)
        config = {
            "models": [{"spec": job.workload, "version": job.model_version, "slo_ms": 30_000}],
            "log": {"path": str(home / "log"), "file_mib": 8, "keep_gib": 1.0},
            "workers": options.workers,
        }
        with endpoint(config, home, variables=environment_of(job, home)) as served:
            clock = time.monotonic()
            told, seen = soak(served, orders(job, served, options), requests=options.requests)
            took, failed = time.monotonic() - clock, counted(served, least=500)
    broken = tell(told, seen, requests=options.requests, seconds=took, bounds=bounds)
    if failed:
        broken.append(f"the endpoint counts {failed:,.0f} answers of status 500 or above")
    print("".join(f"BROKEN: {each}\n" for each in broken) or "held\n", end="")
    return 1 if broken else 0


def orders(job: Job, served: Endpoint, options: argparse.Namespace) -> list[Order]:
    """Return what each client process is to do."""
    rng = np.random.default_rng(options.seed)
    over_grpc = int(options.requests * GRPC_SHARE)
    shares = [(served.grpc_port, True, over_grpc, list(GRPC))]
    shares += [(served.port, False, (options.requests - over_grpc) // 2, list(FORMS))] * 2
    found = []
    for port, grpc, count, forms in shares:
        requests, statuses = questions(job, forms, rng, bad=not grpc)
        found.append(
            Order(HOST, port, in_base64(requests), statuses, grpc, options.clients // 3 or 1, count, GONE_EVERY)
        )
    return found


def questions(job: Job, forms: Sequence[str], rng: np.random.Generator, *, bad: bool) -> tuple[list[bytes], list[int]]:
    """Draw requests: small ones as likely as large ones, in forms that take turns at random, a few of them wrong."""
    rows = draw_rows(job, 4_096)
    requests, statuses = [], []
    for _ in range(REQUESTS):
        if bad and rng.random() < BAD_SHARE:
            body, headers = BAD[rng.integers(len(BAD))]
            requests.append(http_bytes(f"/endpoints/{job.model_name}/invocations", body, headers))
            statuses.append(REFUSED)
            continue
        size = round(float(np.exp(rng.uniform(0, np.log(MOST_ROWS)))))
        part = rows.slice(int(rng.integers(rows.num_rows - size)), size)
        requests.append(ask_bytes(forms[rng.integers(len(forms))], part, model=job.model_name))
        statuses.append(OK)
    return requests, statuses


def soak(served: Endpoint, todo: Sequence[Order], *, requests: int) -> tuple[Told, list[Vitals]]:
    """Let all clients ask, and look at the server meanwhile.

    Raises:
        RuntimeError: A client process could not do its work.
    """
    command = [sys.executable, "-m", "benchmarks.promises.soaker"]
    clients = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment())
        for _ in todo
    ]
    try:
        for client, order in zip(clients, todo, strict=True):
            if client.stdin is not None:
                client.stdin.write(json.dumps(asdict(order)))
                client.stdin.close()
                client.stdin = None
        seen = watch(served, clients, requests=requests)
        told = Told()
        for client in clients:
            text, _ = client.communicate()
            if client.returncode != 0:
                raise RuntimeError(f"a client process ended with code {client.returncode}")
            add(told, Told(**json.loads(text)))
        return told, seen
    finally:
        for client in clients:
            client.kill()
            client.wait()


def watch(served: Endpoint, clients: "Sequence[subprocess.Popen[str]]", *, requests: int) -> list[Vitals]:
    """Look at the server until all clients are done, at most a few hundred times."""
    seen: list[Vitals] = []
    pause_s = SHORTEST_S
    began = time.monotonic()
    while any(client.poll() is None for client in clients):
        seen.append(look(served.pid, counted(served, least=0)))
        rate = seen[-1].requests / (time.monotonic() - began)
        if rate:
            pause_s = max(SHORTEST_S, requests / rate / LOOKS)
        time.sleep(pause_s)
    return seen


def counted(served: Endpoint, *, least: int) -> float:
    """Return how many requests to score the endpoint has counted with this status or a higher one."""
    families = text_string_to_metric_families(served.get("/metrics").decode())
    samples = [sample for family in families for sample in family.samples if sample.name == "lockstep_requests_total"]
    return sum(s.value for s in samples if s.labels["edge"] != "other" and int(s.labels["status"]) >= least)


def add(total: Told, more: Told) -> None:
    """Add what another client process saw."""
    total.right, total.refused, total.gone = (
        total.right + more.right,
        total.refused + more.refused,
        total.gone + more.gone,
    )
    for kind, count in more.failures.items():
        total.failures[kind] = total.failures.get(kind, 0) + count


def tell(told: Told, seen: Sequence[Vitals], *, requests: int, seconds: float, bounds: Bounds) -> list[str]:
    """Print what was seen; return what is beyond its bound."""
    grown = growth(seen, requests=requests)
    first, last = seen[0], seen[-1]
    rate = told.right / seconds
    print(
        f"{told.right:,} right answers in {seconds:.0f} s ({rate:,.0f}/s), {told.refused:,} of them rightly refused; "
        f"{told.gone:,} clients went away; failures: {told.failures or 'none'}"
    )
    print(
        f"memory {first.memory_mib:.0f} MiB at first, {last.memory_mib:.0f} at last: "
        f"{grown.since_warm_mib:+.1f} since the warm-up (bound {bounds.since_warm_mib:g}), "
        f"{grown.last_half_mib:+.1f} over the last half (bound {bounds.last_half_mib:g})"
    )
    print(f"open files {first.files} and {last.files}, threads {first.threads} and {last.threads}; {len(seen)} looks")
    broken = grown.beyond(bounds)
    if told.failures:
        broken.append(f"failures: {told.failures}")
    return broken


def arguments() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.promises.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_option = parser.add_argument
    add_option("--requests", type=int, default=1_000_000)
    add_option("--workload", choices=list(WORKLOADS), default="mlp20")
    add_option("--clients", type=int, default=24)
    add_option("--workers", type=int, default=1)
    add_option("--last-half-mib", type=float, default=Bounds.last_half_mib, help="memory may grow over the last half")
    add_option("--since-warm-mib", type=float, default=Bounds.since_warm_mib, help="memory may grow after the warm-up")
    add_option("--seed", type=int, default=1, help="of the requests")
    return parser


if __name__ == "__main__":
    sys.exit(main())
