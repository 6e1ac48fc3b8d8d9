"""kill -9 at any moment of score and publish; the same command again gives the right rows, once."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from world import GOOD, ROWS, World

DAY = "2024-01-02"


def kill_when(world: World, ready: Callable[[Path], bool], *, delay_s: float = 0.0) -> None:
    """Start a run and kill -9 the command as soon as its run folder looks `ready`."""
    child = subprocess.Popen(
        world.command("run", "churn", "--date", DAY),
        env=world.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    root = world.home / "runs" / "churn" / DAY
    deadline = time.monotonic() + 180
    while child.poll() is None and time.monotonic() < deadline:
        if root.is_dir() and any(ready(folder) for folder in root.iterdir()):
            time.sleep(delay_s)
            break
        time.sleep(0.02)
    if child.poll() is None:
        os.kill(child.pid, signal.SIGKILL)
    child.wait()


def check_published_once(world: World) -> None:
    """The day is live, whole, and once."""
    rows = world.published(DAY)
    assert [row[0] for row in rows] == list(range(ROWS))
    assert {row[2] for row in rows} == {GOOD}


def test_kill_9_in_score(world: World) -> None:
    kill_when(world, lambda folder: (folder / "logs" / "score.log").exists(), delay_s=2.0)
    assert world.published(DAY) == []
    world.score(DAY)
    check_published_once(world)


def test_kill_9_in_publish(world: World) -> None:
    """Between audit and the publication's record, at several moments; every time another run_key replaces the last."""
    for version in (4, 1, 4, 1):
        subprocess.run(
            world.command("step", "plan", "churn", "--date", DAY, "--model-version", str(version)),
            env=world.env,
            check=True,
            capture_output=True,
        )
        folder = newest(world)
        for step in ("materialize", "gate", "score", "audit"):
            done = world.run("step", step, "--run-folder", str(folder))
            assert done.returncode == 0, done.stderr
        child = subprocess.Popen(
            world.command("step", "publish", "--run-folder", str(folder)),
            env=world.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(random.uniform(0.3, 1.5))  # any moment will do
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert len({row[2] for row in world.published(DAY)}) == 1, "either the old rows or the new ones"
        assert world.run("step", "publish", "--run-folder", str(folder)).returncode == 0
        rows = world.published(DAY)
        assert [row[0] for row in rows] == list(range(ROWS))
        assert {row[2] for row in rows} == {version}


def newest(world: World) -> Path:
    """The run folder whose claim is the newest."""
    root = world.home / "runs" / "churn" / DAY
    return max(root.iterdir(), key=lambda folder: (folder / "claim.json").stat().st_mtime)
