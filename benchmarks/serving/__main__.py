"""Measure the real-time endpoint beside its peers: the same model, the same rows, the same load tool, in one run.

    python -m benchmarks.serving --workload mlp20 --system lockstep,bare --clients 1,32

Each system is a server process of its own on loopback. In each round every system has its turn: its server is started,
warmed up, put under each load and ended, so that nothing else runs meanwhile; the order turns from round to round.
Every answer is compared with the bare model's. A system that fails is reported with its error; the exit code is then 1.
"""

import argparse
import re
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.compare import prepare
from benchmarks.job import SCRATCH, Job
from benchmarks.machine import describe, restrict_cores
from benchmarks.serving.asking import PROTOCOLS
from benchmarks.serving.load import Measured, summarise_times
from benchmarks.serving.lockstep_spec import write_spec
from benchmarks.serving.records import IN_PROCESS, MODEL, Record, print_table, write_records
from benchmarks.serving.sample import Sample, draw_sample, one_thread_model, time_calls
from benchmarks.serving.server import Server, ServerFailed, running, versions
from benchmarks.serving.systems import SYSTEMS
from benchmarks.serving.turn import OPEN_CLIENTS, LoadFailed, Plan, Turn, search_name

WORKLOADS = {"mlp20": "mlp20", "trees": "trees", "minilm": "text"}
PREPARED_ROWS = 64
TOOL_LATE_MS = 1.0
NumberT = TypeVar("NumberT", int, float)


class Bench:
    """One workload under measurement."""

    def __init__(self, workload: str, *, systems: Sequence[str], protocols: Sequence[str], cores: int) -> None:
        self.workload = workload
        self.job: Job = prepare(WORKLOADS[workload], rows=PREPARED_ROWS, cores=cores)
        self.sample: Sample = draw_sample(self.job)
        self.records: dict[tuple[str, str, str, str, int], Record] = {}
        self._systems = systems
        self._protocols = protocols
        self._machine = describe(cores)
        self._versions = {name: versions(SYSTEMS[name]) for name in systems}
        write_spec(self.job)

    def run_round(self, plan: Plan, *, number: int) -> None:
        """Give every system its turn."""
        self._measure_model(plan)
        shift = number % len(self._systems)
        for name in [*self._systems[shift:], *self._systems[:shift]]:
            print(f"  round {number + 1}: {name}", flush=True)
            self._measure_system(name, plan)

    def _measure_model(self, plan: Plan) -> None:
        times = time_calls(one_thread_model(self.job), self.sample.rows, seconds=plan.seconds)
        self._record(MODEL, "call", load=IN_PROCESS, clients=1).add(summarise_times(times))

    def _measure_system(self, name: str, plan: Plan) -> None:
        system = SYSTEMS[name]
        known = (*system.protocols, *system.further)
        protocols = [name for name in known if name in self._protocols] or list(system.protocols)
        try:
            with running(name, system, self.job) as server:
                for protocol in protocols:
                    self._measure_protocol(name, server, Turn(server, self.job.model_name, self.sample, protocol, plan))
        except (ServerFailed, LoadFailed) as error:
            self._record(name, protocols[0], load="none", clients=0).error = str(error)
            print(f"    {error}", flush=True)

    def _measure_protocol(self, name: str, server: Server, turn: Turn) -> None:
        found = (self.workload, search_name(turn.plan.p99_ms or 0.0), name, turn.protocol, OPEN_CLIENTS)
        earlier = self.records.get(found)
        for load, clients, seen in turn.take(earlier.rps if earlier else None):
            record = self._record(name, turn.protocol, load=load, clients=clients)
            record.add(seen)
            record.memory_mb = max(record.memory_mb or 0.0, server.memory_mb())
            _say(record, seen)

    def _record(self, system: str, protocol: str, *, load: str, clients: int) -> Record:
        version = self._versions.get(system, "")
        record = Record(self.workload, system, protocol, clients, load, version, self._machine)
        return self.records.setdefault(record.key, record)


def main() -> int:
    """Measure what the command line asks for; write and print the results."""
    options = arguments().parse_args()
    plan = Plan(
        clients=options.clients,
        rates=options.rate,
        p99_ms=None if options.no_search else options.p99_ms,
        seconds=options.seconds,
        warm_s=options.warm_s,
        seed=options.seed,
    )
    cores, failed = restrict_cores(options.cores), False
    for workload in options.workload:
        print(f"{workload}: preparing", flush=True)
        bench = Bench(workload, systems=options.system, protocols=options.protocol, cores=cores)
        for number in range(options.rounds):
            bench.run_round(plan, number=number)
            write_records(list(bench.records.values()), options.results)
        records = list(bench.records.values())
        print_table(records)
        failed = failed or any(record.error or record.errors for record in records)
    print(f"\n{options.results}")
    return 1 if failed else 0


def arguments() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--workload",
        type=_names(WORKLOADS),
        default=list(WORKLOADS),
        help=f"of {', '.join(WORKLOADS)}; all unless given",
    )
    add("--system", type=_names(SYSTEMS), default=list(SYSTEMS), help=f"of {', '.join(SYSTEMS)}; all unless given")
    add(
        "--protocol",
        type=_names(PROTOCOLS),
        default=[],
        help=f"of {', '.join(PROTOCOLS)}; each system's own unless given",
    )
    add("--clients", type=_numbers(int), default=[1, 32, 64], help="of closed loops, such as 1,32,64")
    add("--rate", type=_numbers(float), default=[], help="arrivals per second of open loops, such as 500,1000")
    add("--p99-ms", type=float, default=50.0, help="limit for which the highest rate of an open loop is searched")
    add("--no-search", action="store_true", help="leave out that search")
    add("--seconds", type=float, default=3.0, help="of each measurement")
    add("--warm-s", type=float, default=0.5, help="seconds before each, which do not count")
    add("--rounds", type=int, default=3)
    add("--cores", type=int, default=2)
    add("--seed", type=int, default=1, help="of the arrivals")
    add("--results", type=Path, default=SCRATCH / "serving" / "serving.json", help="file to write")
    return parser


def _names(known: Collection[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        names = re.split("[, ]+", text.strip())
        if unknown := set(names).difference(known):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
        return names

    return read


def _numbers(kind: Callable[[str], NumberT]) -> Callable[[str], list[NumberT]]:
    return lambda text: [kind(part) for part in re.split("[, ]+", text.strip()) if part]


def _say(record: Record, seen: Measured) -> None:
    late = f", tool late by {seen.late_p99_ms} ms" if (seen.late_p99_ms or 0) > TOOL_LATE_MS else ""
    print(
        f"    {record.protocol:<18} {record.load}, {record.clients} clients: {seen.rps:,.0f}/s, p50 {seen.p50_ms} ms, "
        f"p99 {seen.p99_ms} ms, tool {seen.tool_cpu:.0%}{late} {seen.errors or ''}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
