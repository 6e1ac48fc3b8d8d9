"""Warm runs: live systems take turns."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.checking import OutputWrong, count_rows, largest_difference, read_scores
from benchmarks.contestant import Contestant, ContestantFailed
from benchmarks.job import SCRATCH, Job, empty_folder
from benchmarks.memory import MemorySampler
from benchmarks.results import BARE, Record
from benchmarks.systems.system import SYSTEMS

TRIALS = 3
LARGE_ROWS = 50_000_000
# Spark ends Python workers that were idle for a minute. A system that waited longer than this for its turn does a run
# that is not counted first, whichever system it is.
COOLS_AFTER_S = 20.0
Scores = npt.NDArray[np.float64]
FAILURES = (ContestantFailed, OutputWrong)


class WarmRace:
    """The live contestants of one workload and their records."""

    def __init__(self, job: Job, *, timeout_s: float) -> None:
        self.live: dict[str, Contestant] = {}
        self.wanted: Scores | None = None
        self._job = job
        self._ended: dict[str, float] = {}
        self._timeout_s = timeout_s
        self._output = empty_folder(SCRATCH / "out" / str(os.getpid())) / job.workload

    def enter(self, record: Record) -> None:
        """Try all variants of a system, keep the fastest alive."""
        problems = []
        for variant in SYSTEMS[record.system].variants:
            log = SCRATCH / "logs" / f"{self._job.workload}-{record.system}-{variant.split()[0]}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.unlink(missing_ok=True)
            contestant = Contestant(self._job, record.system, variant=variant, log=log, timeout_s=self._timeout_s)
            try:
                contestant.wait_started()
                record.variants_s[variant] = self._trials(contestant, record)
            except FAILURES as error:
                problems.append(f"{variant}: {error}")
                contestant.close()
                continue
            self._keep_faster(record, contestant)
        if record.system not in self.live:
            record.error = "; ".join(problems)
        record.failed_variants = problems

    def _keep_faster(self, record: Record, contestant: Contestant) -> None:
        other = self.live.get(record.system)
        fastest = min(record.variants_s, key=lambda name: min(record.variants_s[name]))
        if fastest == contestant.variant:
            self.live[record.system], contestant = contestant, other  # type: ignore[assignment]
            record.variant = fastest
        if contestant is not None:
            contestant.close()

    def _trials(self, contestant: Contestant, record: Record) -> list[float]:
        """Warm up, check the output, then time a few runs."""
        self.run(contestant, record, check=True)
        trials = 1 if self._job.rows >= LARGE_ROWS else TRIALS
        return [self.run(contestant, record) for _ in range(trials)]

    def run(self, contestant: Contestant, record: Record, *, check: bool = False) -> float:
        """Do the job once and check its output, all of it or its row count; return the seconds."""
        shutil.rmtree(self._output, ignore_errors=True)
        seconds, written = contestant.run(self._output)
        self._ended[record.system] = time.monotonic()
        if check:
            scores = read_scores(written)
            if self.wanted is None and record.system == BARE:
                self.wanted = scores
            if self.wanted is None:
                raise OutputWrong("there is nothing to compare with: the bare loop failed")
            worst = largest_difference(scores, self.wanted)
            record.largest_difference = max(worst, record.largest_difference or 0.0)
        if count_rows(written) != self._job.rows:
            raise OutputWrong(f"{count_rows(written)} rows written, expected {self._job.rows}")
        shutil.rmtree(written, ignore_errors=True)
        return round(seconds, 4)

    def turn(self, record: Record, *, check: bool) -> None:
        """Let a system do one timed run, warm again if others took long; one that fails is out."""
        contestant = self.live[record.system]
        with self._failing_alone(record):
            if time.monotonic() - self._ended.get(record.system, 0.0) > COOLS_AFTER_S:
                self.run(contestant, record)
            record.runs_s.append(self.run(contestant, record, check=check))

    def sample_memory(self, record: Record) -> None:
        """Let a system do one more run while its memory is sampled."""
        with self._failing_alone(record), MemorySampler(self.live[record.system].pid) as sampler:
            self.run(self.live[record.system], record)
            record.memory = sampler.trace.to_json()

    @contextlib.contextmanager
    def _failing_alone(self, record: Record) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            record.error = str(error)
            self.live.pop(record.system).close()

    def close(self) -> None:
        """End all systems."""
        for contestant in self.live.values():
            contestant.close()
        shutil.rmtree(self._output.parent, ignore_errors=True)


def measure_warm(job: Job, records: Sequence[Record], *, rounds: int, timeout_s: float, memory: bool) -> None:
    """Fill in the runs of the records: rounds in which all take turns."""
    race = WarmRace(job, timeout_s=timeout_s)
    try:
        for record in records:
            print(f"{job.workload}: {record.system} gets ready", flush=True)
            race.enter(record)
        for number in range(rounds):
            print(f"{job.workload}: round {number + 1} of {rounds}", flush=True)
            for record in records:
                if record.system in race.live:
                    race.turn(record, check=number == rounds - 1)
        for record in records:
            if memory and record.system in race.live:
                race.sample_memory(record)
    finally:
        race.close()
