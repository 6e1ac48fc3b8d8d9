"""Scoring on three hosts while one of them, the driver or the store fails: the same bytes, and nothing left over."""

import time

import pytest

from lockstep.run.folder import RunFolder
from lockstep.scoring.attempts import remove_strays
from tests.cluster.cluster import WORKERS, Cluster, check_no_orphans, results, until
from tests.integration.kill_runs import Template, content

Content = list[tuple[str, str, str | None]]
# A run of these takes less than a minute when nothing happens.
LONGEST_S = 300.0
SOME = 6


def finish(cluster: Cluster, process: "object", folder: RunFolder, expected: Content) -> None:
    """Wait for a run, and hold it to what one machine makes of the same plan."""
    code = process.wait(LONGEST_S)  # type: ignore[attr-defined]
    assert code == 0, cluster.said()
    assert content(folder) == expected
    check_no_orphans(folder)


def test_three_hosts_give_the_bytes_of_one(cluster: Cluster, template: Template, expected: Content) -> None:
    folder, began = cluster.put_run(template, "quiet"), time.monotonic()
    finish(cluster, cluster.score(folder), folder, expected)
    print(f"\nquiet: {time.monotonic() - began:.0f} s")


def test_a_host_that_crashes(cluster: Cluster, template: Template, expected: Content) -> None:
    folder = cluster.put_run(template, "crash")
    process = cluster.score(folder)
    until(lambda: len(results(folder)) >= SOME, within_s=LONGEST_S, what=cluster.said())
    began = time.monotonic()
    cluster.hosts.kill(WORKERS[1])
    try:
        finish(cluster, process, folder, expected)
    finally:
        cluster.start_worker(WORKERS[1])
    print(f"\nhost crashed: whole {time.monotonic() - began:.0f} s later")


@pytest.mark.slow
def test_a_host_that_is_cut_off(cluster: Cluster, template: Template, expected: Content) -> None:
    folder = cluster.put_run(template, "cut")
    process = cluster.score(folder)
    until(lambda: len(results(folder)) >= SOME, within_s=LONGEST_S, what=cluster.said())
    began = time.monotonic()
    cluster.hosts.cut_off(WORKERS[0])
    try:
        finish(cluster, process, folder, expected)
    finally:
        print(f"\nhost cut off: whole {time.monotonic() - began:.0f} s later")
        cluster.hosts.connect(WORKERS[0])
        cluster.hosts.kill(WORKERS[0])
        cluster.start_worker(WORKERS[0])
    time.sleep(5)  # what the host had in hand when it came back: `publish` removes it
    remove_strays(folder, folder.manifest(step="test").units)
    check_no_orphans(folder)


@pytest.mark.slow
def test_a_driver_that_dies(cluster: Cluster, template: Template, expected: Content) -> None:
    folder = cluster.put_run(template, "driver")
    process = cluster.score(folder)
    until(lambda: len(results(folder)) >= SOME, within_s=LONGEST_S, what=cluster.said())
    began = time.monotonic()
    cluster.hosts.kill("driver")
    process.wait()
    before = set(results(folder))
    finish(cluster, cluster.score(folder), folder, expected)
    print(f"\ndriver died: whole {time.monotonic() - began:.0f} s later; {len(before)} units were not scored again")
    assert before <= set(results(folder)), "a finished unit was scored again"


@pytest.mark.slow
def test_a_store_that_is_away_for_a_minute(cluster: Cluster, template: Template, expected: Content) -> None:
    folder = cluster.put_run(template, "store")
    process = cluster.score(folder)
    until(lambda: len(results(folder)) >= SOME, within_s=LONGEST_S, what=cluster.said())
    cluster.shut_store()
    time.sleep(60)
    began = time.monotonic()
    cluster.reopen_store()
    finish(cluster, process, folder, expected)
    print(f"\nstore away for 60 s: whole {time.monotonic() - began:.0f} s after it was back")


@pytest.mark.slow
def test_a_slow_host(cluster: Cluster, template: Template, expected: Content) -> None:
    folder = cluster.put_run(template, "slow")
    cluster.hosts.slow_down(WORKERS[2], "100kbit")
    began = time.monotonic()
    try:
        finish(cluster, cluster.score(folder), folder, expected)
    finally:
        print(f"\none slow host: whole after {time.monotonic() - began:.0f} s")
        cluster.hosts.slow_down(WORKERS[2], "6mbit")
