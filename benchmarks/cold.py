"""Cold runs: a fresh process tree each time, from its start to its end and to the first rows on disk."""

import os
import shutil
from collections.abc import Sequence

from benchmarks.checking import OutputWrong, largest_difference, read_scores
from benchmarks.contestant import ContestantFailed, run_cold
from benchmarks.job import SCRATCH, Job, empty_folder
from benchmarks.results import BARE, Record


def measure_cold(job: Job, records: Sequence[Record], *, rounds: int, timeout_s: float, memory: bool) -> None:  # noqa: ARG001
    """Fill in the runs of the records, each with the first of its variants; rounds in which all take turns."""
    output = empty_folder(SCRATCH / "out" / str(os.getpid())) / job.workload
    (SCRATCH / "logs").mkdir(parents=True, exist_ok=True)
    wanted = None
    for number in range(rounds):
        print(f"{job.workload}: cold round {number + 1} of {rounds}", flush=True)
        for record in records:
            if record.error:
                continue
            log = SCRATCH / "logs" / f"{job.workload}-{record.system}-cold.log"
            shutil.rmtree(output, ignore_errors=True)
            try:
                run = run_cold(job, record.system, variant=record.variant, output=output, log=log, timeout_s=timeout_s)
                scores = read_scores(run.written)
                wanted = scores if wanted is None and record.system == BARE else wanted
                if wanted is None:
                    raise OutputWrong("there is nothing to compare with: the bare loop failed")
                record.largest_difference = max(largest_difference(scores, wanted), record.largest_difference or 0.0)
            except (ContestantFailed, OutputWrong) as error:
                record.error = str(error)
                continue
            record.runs_s.append(round(run.end_s, 4))
            record.first_row_s.append(round(run.first_row_s, 4))
            shutil.rmtree(run.written, ignore_errors=True)
    shutil.rmtree(output.parent, ignore_errors=True)
