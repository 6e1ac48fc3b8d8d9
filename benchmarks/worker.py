"""The process of one system. Started by `benchmarks.contestant`; takes commands on standard input, answers in JSON.

    serve        start the system, then for each line, an output folder, do the whole job and answer with the seconds
    once OUTPUT  start, do the job, stop: for cold times
    submission OUTPUT  make ready what precedes a cold run and print its command line

Whatever the system prints goes to standard error.
"""

import argparse
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import IO

from benchmarks.job import Job
from benchmarks.systems.system import SYSTEMS, System, make_system


def main() -> int:
    """Serve, or run once."""
    parser = argparse.ArgumentParser(description="One system of the benchmark.")
    parser.add_argument("command", choices=["serve", "once", "submission"])
    parser.add_argument("output", nargs="?", type=Path)
    parser.add_argument("--system", required=True, choices=list(SYSTEMS))
    parser.add_argument("--variant", required=True)
    parser.add_argument("--job", required=True, help="JSON of the job")
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    system = make_system(options.system, Job.from_json(options.job), variant=options.variant)
    if options.command == "serve":
        return serve(system, answers)
    if options.command == "submission":
        answer(answers, submission(system, options.output))
        return 0
    system.start()
    system.run(options.output)
    system.stop()
    return 0


def serve(system: System, answers: IO[str]) -> int:
    """Start, then run the job whenever a line with an output folder comes in; an empty line ends it."""
    try:
        began = time.perf_counter()
        system.start()
        answer(answers, {"seconds": time.perf_counter() - began})
        for line in iter(sys.stdin.readline, ""):
            if not line.strip():
                break
            began = time.perf_counter()
            written = system.run(Path(line.strip()))
            answer(answers, {"seconds": time.perf_counter() - began, "written": str(written)})
        system.stop()
    except Exception as error:  # noqa: BLE001 - whatever a system raises is its result
        traceback.print_exc()
        answer(answers, {"error": f"{type(error).__name__}: {str(error).strip()[:600]}"})
        return 1
    return 0


def submission(system: System, output: Path) -> dict[str, object]:
    """Return command line, environment and place of the output of a cold run."""
    prepared = getattr(system, "submission", None)
    if prepared is not None:
        return dict(prepared(output))
    command = [sys.executable, "-m", "benchmarks.worker", "once", str(output), *sys.argv[3:]]
    return {"command": command, "environment": {}, "written": str(output)}


def answer(answers: IO[str], facts: dict[str, object]) -> None:
    """Send one line."""
    answers.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    sys.exit(main())
