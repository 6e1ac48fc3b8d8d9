"""Three times as much as it can bear: does the endpoint go on working, and turn the rest away properly?

    python -m benchmarks.promises.overload --workload trees --form "v2 binary" --seconds 10

Clients that wait for their answers find the peak of goodput: answers within `slo_ms`, per second. Then arrivals that
wait for nobody come at three times that rate. The exit code is 1 unless, in the median round,

- goodput is 90 % of the peak or more,
- 99 % of accepted requests are answered within `slo_ms` of the time at which they were to be sent,
- every other request is refused with 503 or 429 and Retry-After (gRPC: UNAVAILABLE, RESOURCE_EXHAUSTED), 99 % of them
  within `--prompt-ms`; any other outcome fails,
- the senders themselves kept up: what they sent late says nothing of the server.

Server and senders have cores of their own, half of them each.
"""

import argparse
import contextlib
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.promises.endpoint import Endpoint, endpoint
from benchmarks.promises.forms import FORMS, GRPC
from benchmarks.promises.questions import WORKLOADS, ask_bytes, draw_rows, environment_of, prepared
from benchmarks.promises.sender import Order, Seen, send
from benchmarks.serving.asking import in_base64
from benchmarks.serving.server import HOST

TIMES = 3.0
KEPT = 0.9
# More than this is no goodput but a peak that was not found.
MOST = 1.15
# Of the intended rate that was really offered, and of lateness that would blur what is measured, as a share of the SLO.
OFFERED, LATE = 0.95, 0.1
# Where the peak is depends on the form: too few do not fill the model's time, of too many some are refused.
CLIENTS = (4, 8, 16, 32, 64)
CONNECTIONS = 512
REQUESTS = 64
START_S = 1.5
# Nobody can refuse for nothing: two refusals for each answer must cost a tenth of it.
ROWS = {"mlp20": 2048, "trees": 4096, "minilm": 2}


@dataclass(frozen=True)
class Round:
    """One round.

    Attributes:
        peak: Best goodput of clients that wait, in requests per second; the same in all rounds.
        goodput: Of the overload.
        offered: Arrivals per second.
        accepted_ms, refused_ms: Times at the 50th and 99th percentile; 0 when there were none.
        refused: Share of arrivals.
        failures: Other outcomes.
        late_ms: Of the senders, the 99th percentile.
    """

    peak: float
    goodput: float
    offered: float
    accepted_ms: tuple[float, float]
    refused_ms: tuple[float, float]
    refused: float
    failures: dict[str, int]
    late_ms: float


@dataclass(frozen=True)
class Promise:
    """Bounds.

    Attributes:
        slo_ms: Of accepted requests.
        prompt_ms: Of refusals.
    """

    slo_ms: float
    prompt_ms: float

    def broken(self, rounds: Sequence[Round]) -> list[str]:
        """Say what did not hold in the median round, and which failures there were in any."""
        ratio = statistics.median(each.goodput / each.peak if each.peak else 0.0 for each in rounds)
        accepted = statistics.median(each.accepted_ms[1] for each in rounds)
        refused = statistics.median(each.refused_ms[1] for each in rounds)
        late = statistics.median(each.late_ms for each in rounds)
        offered = statistics.median(each.offered / each.peak if each.peak else 0.0 for each in rounds)
        found = [f"failures: {each.failures}" for each in rounds if each.failures]
        if ratio < KEPT:
            found.append(f"goodput is {ratio:.0%} of the peak; promised: {KEPT:.0%}")
        if ratio > MOST:
            found.append(f"the peak was not found: goodput under overload is {ratio:.0%} of it; is the machine busy?")
        if accepted > self.slo_ms:
            found.append(f"the 99th percentile of accepted requests is {accepted:.0f} ms; promised: {self.slo_ms:g} ms")
        if refused > self.prompt_ms:
            found.append(f"the 99th percentile of refusals is {refused:.0f} ms; promised: {self.prompt_ms:g} ms")
        if offered < TIMES * OFFERED or late > LATE * self.slo_ms:
            found.append(f"the senders are too slow: they offered {offered:.2f} times the peak, late by {late:.1f} ms")
        if not any(each.refused for each in rounds):
            found.append("nothing was refused: it was no overload")
        return found


def find_peak(orders: Sequence[Order], *, slo_ms: float) -> float:
    """Return the best goodput of clients that wait for their answers."""
    return max(goodput(begin(shared(orders, clients=clients)), slo_ms=slo_ms) for clients in CLIENTS)


def measure(orders: Sequence[Order], *, peak: float, slo_ms: float, seconds: float) -> Round:
    """Offer three times the peak."""
    rate = max(TIMES * peak, 1.0) / len(orders)
    loads = shared(orders, clients=CONNECTIONS)
    seen = begin([replace(order, rate=rate, seconds=seconds, seed=2 * n + 1) for n, order in enumerate(loads)])
    refused = [each for times in seen.refused_s.values() for each in times]
    arrivals = len(seen.answered_s) + len(refused) + sum(seen.failures.values())
    return Round(
        peak=peak,
        goodput=goodput(seen, slo_ms=slo_ms),
        offered=arrivals / seconds,
        accepted_ms=(percentile_ms(seen.answered_s, 0.5), percentile_ms(seen.answered_s, 0.99)),
        refused_ms=(percentile_ms(refused, 0.5), percentile_ms(refused, 0.99)),
        refused=len(refused) / max(arrivals, 1),
        failures=seen.failures,
        late_ms=percentile_ms(seen.late_s, 0.99),
    )


def shared(orders: Sequence[Order], *, clients: int) -> list[Order]:
    """Share clients among the senders."""
    return [replace(order, clients=max(clients // len(orders), 1)) for order in orders]


def begin(orders: Sequence[Order]) -> Seen:
    """Let all senders begin at the same time, once they are up."""
    return send([replace(order, begins=time.time() + START_S) for order in orders])


def goodput(seen: Seen, *, slo_ms: float) -> float:
    """Return answers within the SLO, per second."""
    good = sum(took * 1000 <= slo_ms for took in seen.answered_s)
    return good / seen.seconds if seen.seconds else 0.0


def percentile_ms(seconds: Sequence[float], share: float) -> float:
    """Return the smallest time that at least this share of all does not exceed; 0 of none."""
    if not seconds:
        return 0.0
    return sorted(seconds)[max(0, math.ceil(share * len(seconds)) - 1)] * 1000


def halves() -> tuple[list[int], list[int]]:
    """Return the cores of the server and those of the senders; all for both where there is but one."""
    cores = sorted(os.sched_getaffinity(0))
    half = len(cores) // 2
    return (cores[:half], cores[half:]) if half else (cores, cores)


def orders_of(served: Endpoint, requests: Sequence[bytes], form: str, *, options: argparse.Namespace) -> list[Order]:
    """Return an order for each sender, without a load yet."""
    order = Order(
        host=HOST,
        port=served.grpc_port if form in GRPC else served.port,
        requests=in_base64(requests),
        over_grpc=form in GRPC,
        clients=1,
        seconds=options.peak_seconds,
        warm_s=options.warm_s,
        cores=halves()[1],
    )
    return [order] * options.senders


def main() -> int:
    """Overload what the command line asks for; print it."""
    options = arguments().parse_args()
    held = [overload(workload, options) for workload in options.workload]
    return 0 if all(held) else 1


def overload(workload: str, options: argparse.Namespace) -> bool:
    """Overload an endpoint with a workload's model, in each form; return whether every promise held."""
    job, held = prepared(workload, cores=len(halves()[0])), True
    config = {"models": [{"spec": job.workload, "version": job.model_version, "slo_ms": options.slo_ms}]}
    size = options.rows or ROWS[workload]
    rows = draw_rows(job, REQUESTS * size)
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="overload-", ignore_cleanup_errors=True)))
        served = stack.enter_context(endpoint(config, home, variables=environment_of(job, home)))
        served.pin(halves()[0])
        for form in options.form:
            parts = [rows.slice(n * size, size) for n in range(REQUESTS)]
            requests = [ask_bytes(form, part, model=job.model_name) for part in parts]
            print(f"{workload}, {form}, {size} rows a request, SLO {options.slo_ms:g} ms", flush=True)
            held = rounds_held(orders_of(served, requests, form, options=options), options) and held
    return held


def rounds_held(orders: Sequence[Order], options: argparse.Namespace) -> bool:
    """Measure so many rounds and print them; return whether the promise held."""
    rounds: list[Round] = []
    peak = max(find_peak(orders, slo_ms=options.slo_ms) for _ in range(options.rounds))
    for _ in range(options.rounds):
        rounds.append(measure(orders, peak=peak, slo_ms=options.slo_ms, seconds=options.seconds))
        tell(rounds[-1])
    broken = Promise(options.slo_ms, options.prompt_ms).broken(rounds)
    print("".join(f"  BROKEN: {each}\n" for each in broken) or "  held\n", end="", flush=True)
    return not broken


def tell(seen: Round) -> None:
    """Print a round."""
    accepted, refused = seen.accepted_ms, seen.refused_ms
    share = seen.goodput / seen.peak if seen.peak else 0.0
    print(
        f"  peak {seen.peak:,.0f}/s; offered {seen.offered:,.0f}/s: goodput {seen.goodput:,.0f}/s ({share:.0%}), "
        f"accepted p50 {accepted[0]:.1f} p99 {accepted[1]:.1f} ms, "
        f"{seen.refused:.0%} refused p50 {refused[0]:.1f} p99 {refused[1]:.1f} ms, "
        f"senders late p99 {seen.late_ms:.1f} ms {seen.failures or ''}",
        flush=True,
    )


def arguments() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.promises.overload",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--workload", nargs="+", choices=list(WORKLOADS), default=["trees", "minilm"])
    add("--form", nargs="+", choices=[*FORMS, *GRPC], default=["v2 binary", "grpc raw"])
    add("--rows", type=int, help=f"of a request; unless given so many that the model's own time dominates: {ROWS}")
    add("--slo-ms", type=float, default=250.0)
    add("--prompt-ms", type=float, default=100.0)
    add("--seconds", type=float, default=10.0, help="of each overload")
    add("--peak-seconds", type=float, default=3.0, help="of each search for the peak")
    add("--warm-s", type=float, default=1.0, help="seconds before each, which do not count")
    add("--rounds", type=int, default=3)
    add("--senders", type=int, default=2)
    return parser


if __name__ == "__main__":
    sys.exit(main())
