"""The tools behind `make test-overload`, `test-soak` and `test-parity`, for real but short."""

import re
import subprocess
import sys

import pytest

from benchmarks.job import ROOT


def promised(tool: str, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", f"benchmarks.promises.{tool}", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
def test_no_bit_differs_between_spark_and_any_form_of_request() -> None:
    done = promised("parity", "--rows", "1000", "--backend", "torch")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "endpoint  backend torch, device cpu" in done.stdout
    whole = re.findall(r"^  [a-z0-9 ]+ 1,000 +\d+ +0 +0 +0$", done.stdout, re.MULTILINE)
    assert len(whole) == 8, done.stdout  # forms, each with all rows
    assert "equal in every bit" in done.stdout


@pytest.mark.slow
def test_thousands_of_requests_leave_the_endpoint_as_it_was() -> None:
    # The bounds of the full run; a short one still warms up, so its memory has more room.
    done = promised("soak", "--requests", "5000", "--last-half-mib", "60", "--since-warm-mib", "100")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "failures: none" in done.stdout


@pytest.mark.slow
def test_an_overload_is_measured_and_its_refusals_are_proper() -> None:
    seconds = ["--seconds", "1.5", "--peak-seconds", "0.5", "--warm-s", "0.2", "--rounds", "1"]
    done = promised("overload", "--workload", "trees", "--rows", "512", "--form", "v2 binary", *seconds)
    # How much is kept depends on what else the machine does meanwhile; how it is refused does not.
    assert done.returncode in {0, 1}, done.stdout + done.stderr[-2000:]
    assert "refused p50" in done.stdout, done.stdout + done.stderr[-2000:]
    assert "failures" not in done.stdout
