"""Forks processes that score a run, and kills each at its moment: no JVM, and torch is loaded once.

Reads orders from standard input, a JSON object a line, and answers each with one line:
`{"folder": ..., "kill_after_s": [0.2, null], "accept": false}` gives `[{"killed": true, "seconds": 0.2}, ...]`, one
for each process. A process scores all units and, if it shall `accept`, writes the manifest.
"""

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from lockstep.run.folder import RunFolder
from lockstep.scoring.engine import UnitScorer
from lockstep.steps.score import write_manifest
from udfs.worker import load_once

POLL_S = 0.0005


def main() -> None:
    """Obey until standard input ends."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(carry_out(json.loads(line))), flush=True)


def carry_out(order: dict[str, Any]) -> list[dict[str, Any]]:
    """Start the processes, kill those that are to be killed, wait for the others."""
    folder = RunFolder(Path(order["folder"]))
    plan = folder.plan(step="test")
    load_once(plan.model, plan.cache_root)  # kept for the children
    began = time.monotonic()
    pids = [fork(folder, accept=order["accept"]) for _ in order["kill_after_s"]]
    moments = dict(zip(pids, order["kill_after_s"], strict=True))
    ended: dict[int, dict[str, Any]] = {}
    while len(ended) < len(pids):
        for pid in set(pids) - set(ended):
            now = time.monotonic() - began
            gone, status = os.waitpid(pid, os.WNOHANG)
            if gone:
                code = os.waitstatus_to_exitcode(status)
                if code not in {0, -signal.SIGKILL}:
                    raise SystemExit(f"scoring ended with {code}")
                ended[pid] = {"killed": code == -signal.SIGKILL, "seconds": now}
            elif moments[pid] is not None and now >= moments[pid]:
                os.kill(pid, signal.SIGKILL)
                moments[pid] = None
        time.sleep(POLL_S)
    return [ended[pid] for pid in pids]


def fork(folder: RunFolder, *, accept: bool) -> int:
    """Start a process that scores the run; return its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        score(folder, accept=accept)
        code = 0
    except BaseException:  # noqa: BLE001 - this is all of the process: nothing may reach the parent's loop
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def score(folder: RunFolder, *, accept: bool) -> None:
    """Score all units, as a Spark worker does."""
    plan, wanted = folder.plan(step="test"), folder.scoring_input(step="test")
    scorer, baseline = load_once(plan.model, plan.cache_root)
    units = UnitScorer(folder, plan, scorer, baseline=baseline, run_rows=wanted.rows)
    for unit in wanted.units:
        units.score(unit)
    if accept:
        write_manifest(folder)


if __name__ == "__main__":
    main()
