"""Is it the same number? Real rows through Spark once, and through the endpoint in every form; compare all bits.

    python -m benchmarks.promises.parity --rows 100000

For each backend a model is trained on flights of 2013 and registered, Spark scores the rows as a nightly run does, and
concurrent clients send the same rows to `lockstep serve`: V2 JSON and binary, gRPC raw and typed, and JSON, CSV and
Parquet to /invocations, each row once in each form, in shuffled requests of 1 to 2,000 rows, the forms interleaved.
The exit code is 1 when one bit of one score differs, or when one request has no answer.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.promises.batch import Batch, score_with_spark, variables, write_spec
from benchmarks.promises.comparison import Clients, Tally, draw_requests
from benchmarks.promises.endpoint import Endpoint, endpoint
from benchmarks.promises.flight_models import MODELS, register
from benchmarks.promises.flights import draw_flights
from benchmarks.promises.forms import FORMS, GRPC

# Nobody is turned away here: what is asked for is the number, not the time.
PATIENT_MS = 600_000


def main() -> int:
    """Compare what the command line asks for; print it."""
    options = arguments().parse_args()
    rows, failed = draw_flights(options.rows, seed=options.seed), False
    with tempfile.TemporaryDirectory(prefix="parity-", ignore_cleanup_errors=True) as scratch:
        home = Path(scratch)
        for backend in options.backend:
            clock = time.monotonic()
            held = compare(backend, rows, home, clients=options.clients, seed=options.seed)
            print(f"  {time.monotonic() - clock:.0f} s", flush=True)
            failed = failed or not held
    print("NOT EQUAL" if failed else f"equal in every bit: {options.rows:,} rows, {', '.join(options.backend)}")
    return 1 if failed else 0


def compare(backend: str, rows: pa.Table, home: Path, *, clients: int, seed: int) -> bool:
    """Score rows with the model of a backend on both sides; print what differs; return whether nothing does."""
    environ = variables(home)
    model = register(backend, home)
    write_spec(backend, model, rows, home=home)
    batch = score_with_spark(model, {**environ})
    requests = draw_requests(rows.num_rows, (*FORMS, *GRPC), seed=seed)
    config = {"models": [{"spec": model, "slo_ms": PATIENT_MS}], "limits": {"body_mib": 64}}
    with endpoint(config, home / "served" / backend, variables=environ) as served:
        tallies = Clients(served, batch, clients=clients).ask(requests)
        tell(backend, batch, tallies, served=served)
    return all(tally.holds(rows.num_rows) for tally in tallies.values())


def tell(backend: str, batch: Batch, tallies: Mapping[str, Tally], *, served: Endpoint) -> None:
    """Print the model, its certificate and what came back in each form."""
    model = batch.model
    print(f"{backend}: {model.name} version {model.version}, digest {model.digest}")
    print(f"  batch     on {', '.join(batch.devices)}")
    print(f"  endpoint  {certificate(served.described(model.name)['properties'])}")
    print(f"  {'form':<14}{'rows':>10}{'requests':>10}{'failed':>8}{'rows that differ':>18}{'bits that differ':>18}")
    for form, tally in tallies.items():
        counts = f"{tally.rows:>10,}{tally.requests:>10,}{tally.failed:>8,}"
        print(f"  {form:<14}{counts}{tally.differing_rows:>18,}{tally.differing_bits:>18,}")
        for problem in tally.problems:
            print(f"    {problem}")


def certificate(properties: Mapping[str, Any]) -> str:
    """Return what the endpoint says of how it scores, as a line."""
    facts = {name.removeprefix("certificate_"): value for name, value in properties.items() if "certificate" in name}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()) or "says nothing"


def arguments() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.promises.parity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=100_000, help="different flights, at most 336,776")
    parser.add_argument("--backend", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--clients", type=int, default=8, help="that ask at the same time")
    parser.add_argument("--seed", type=int, default=1, help="of the rows, the requests and their order")
    return parser


if __name__ == "__main__":
    sys.exit(main())
