"""kill -9 at random moments, over many runs: resumed, each gives the bytes of a run that nobody disturbed.

`LOCKSTEP_KILLS` says how many kills there are in all (a third of Spark's workers, two fifteenths of the driver, the
rest of plain scoring processes), `LOCKSTEP_KILL_SEED` the seed of their moments; both are printed. `make test-kills`.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from lockstep.run.folder import MANIFEST, RunFolder
from lockstep.run.java import find_java_home
from lockstep.run.submit import spark_submit
from lockstep.specs.settings import Settings
from tests.integration.kill_runs import (
    Template,
    check_not_scored_again,
    check_whole,
    content,
    finished_attempts,
    leftovers,
    make_model,
    make_template,
    written,
)
from tests.integration.line_child import ROOT, LineChild

pytestmark = [pytest.mark.integration, pytest.mark.slow]

KILLS = int(os.environ.get("LOCKSTEP_KILLS", "24"))
SEED = int(os.environ.get("LOCKSTEP_KILL_SEED") or random.SystemRandom().randrange(1 << 32))
WORKER_KILLS, DRIVER_KILLS = KILLS // 3, KILLS * 2 // 15
UNITS, UNIT_ROWS = 16, 15_000
LIMITS = {"batch_rows": 1_000}  # so that a staged file is open for most of the time that its unit takes
# Between two kills of Spark's workers, and after an event that a driver or worker is to be killed at: at most, seconds.
PAUSE_S, AFTER_S, START_S = 0.4, 0.3, 3.0
# Kills after which a run is left in peace.
WORKER_KILLS_OF_A_RUN, DRIVER_KILLS_OF_A_RUN, PROCESS_KILLS_OF_A_RUN = 12, 5, 8
DEADLINE_S = 240.0
DAEMON = "tests.integration.warm_daemon"


@dataclass
class Tally:
    """What was done to one kind of process."""

    kind: str
    kills: int = 0
    runs: int = 0
    identical: int = 0
    where: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """Say it in one line."""
        text = f"{self.kind}: {self.kills} kills hit a live process, {self.runs} runs, {self.identical} identical"
        found = ", ".join(f"{count} left {what}" for what, count in sorted(self.where.items()))
        return f"{text}; {found} (seed {SEED})" if found else f"{text} (seed {SEED})"

    def check(self, folder: RunFolder, reference: "Reference") -> None:
        """Compare a finished run with the undisturbed one."""
        check_whole(folder, reference.template)
        self.runs += 1
        self.identical += content(folder) == reference.content and written(folder) == reference.reasons
        assert self.identical == self.runs, f"{folder.path} differs from the undisturbed run (seed {SEED})"


@dataclass(frozen=True)
class Reference:
    """An undisturbed run: what every other run of the template must come to.

    Attributes:
        seconds: How long one process took.
        idle_s: How long it took when all units were finished.
    """

    template: Template
    content: list[tuple[str, str, str | None]]
    reasons: str
    seconds: float
    idle_s: float


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    java = find_java_home(os.environ, cache_root=tmp_path_factory.mktemp("java"))
    own = {"JAVA_HOME": str(java), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    return {**own, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def forks(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LineChild]:
    log = tmp_path_factory.mktemp("forks") / "log"
    with closing(LineChild("scoring_forks", env=environment, log=log)) as child:
        yield child


def run_forks(
    forks: LineChild, folder: RunFolder, kill_after_s: Sequence[float | None], *, accept: bool
) -> list[dict[str, Any]]:
    forks.tell(json.dumps({"folder": str(folder.path), "kill_after_s": list(kill_after_s), "accept": accept}))
    answer: list[dict[str, Any]] = json.loads(forks.answer())
    return answer


@pytest.fixture(scope="module")
def reference(forks: LineChild, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    root = tmp_path_factory.mktemp("reference")
    template = make_template(root, make_model(root / "model"), units=UNITS, unit_rows=UNIT_ROWS, limits=LIMITS)
    seconds = 0.0
    folder = RunFolder(template.path)
    for name in ("cold", "warm"):  # the first also looks for the best block size
        folder = template.copy(root / name)
        seconds = run_forks(forks, folder, [None], accept=True)[0]["seconds"]
        check_whole(folder, template)
    idle_s = run_forks(forks, folder, [None], accept=True)[0]["seconds"]
    return Reference(template, content(folder), written(folder), seconds, idle_s)


def test_kill_9_of_spark_workers(
    reference: Reference, environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {
        "spark.master": "local[2,50]",  # a task may fail 49 times
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.local.dir": str(tmp_path / "local"),
        "spark.python.daemon.module": DAEMON,
    }
    arguments = [f"{name}={value}" for name, value in settings.items()]
    env = {**environment, "WARM_RUN": str(reference.template.path)}
    tally, dice = Tally("spark workers"), random.Random(SEED)
    with closing(LineChild("spark_runs", *arguments, env=env, log=tmp_path / "log")) as session:
        assert session.answer() == "ready"
        while tally.kills < WORKER_KILLS:
            folder = reference.template.copy(tmp_path / f"run-{tally.runs}")
            session.tell(str(folder.path))
            tally.kills += kill_workers(session, dice, at_most=min(WORKER_KILLS_OF_A_RUN, WORKER_KILLS - tally.kills))
            tally.check(folder, reference)
    with capsys.disabled():
        print(f"\n{tally.line()}")


def kill_workers(session: LineChild, dice: random.Random, *, at_most: int) -> int:
    """Kill random workers at random times until the session has answered; return how many."""
    answers: list[str] = []
    done = threading.Thread(target=lambda: answers.append(session.answer()))
    done.start()
    kills = 0
    while done.is_alive():
        done.join(dice.uniform(0, PAUSE_S))
        found = workers_of(session.process.pid)
        if done.is_alive() and found and kills < at_most:
            kills += kill(dice.choice(found))
    assert answers == ["done"], session.log.read_text()[-4000:]
    return kills


def workers_of(pid: int) -> list[psutil.Process]:
    """Return the forks of PySpark's daemon below a process."""
    below = psutil.Process(pid).children(recursive=True)
    daemons = {process.pid for process in below if "daemon" in command_of(process)}
    return [process for process in below if process.pid in daemons and process.ppid() in daemons]


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()[:3])
    except psutil.Error:  # it ended just now
        return ""


def kill(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def test_kill_9_of_the_driver(
    reference: Reference, environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tally, dice = Tally("drivers"), random.Random(SEED + 1)
    env = {**environment, "WARM_RUN": str(reference.template.path)}
    while tally.kills < DRIVER_KILLS:
        folder = reference.template.copy(tmp_path / f"run-{tally.runs}")
        most, kills, killed = min(DRIVER_KILLS_OF_A_RUN, DRIVER_KILLS - tally.kills), 0, True
        while killed:
            before = finished_attempts(folder)
            killed = submit_and_kill(folder, env, tmp_path, dice=dice if kills < most else None)
            check_not_scored_again(before, folder)
            kills += killed
        tally.kills += kills
        tally.check(folder, reference)
    with capsys.disabled():
        print(f"\n{tally.line()}")


def submit_and_kill(folder: RunFolder, env: dict[str, str], home: Path, *, dice: random.Random | None) -> bool:
    """Submit the job; with dice, kill -9 its process group at a random moment. Return whether that hit it."""
    settings = Settings.from_env({"LOCKSTEP_HOME": str(home), "LOCKSTEP_PROJECT": str(ROOT)})
    java, python = Path(env["JAVA_HOME"]), Path(sys.executable)
    submit = spark_submit(settings, "score", ["--run-folder", str(folder.path)], python=python, java_home=java)
    submit.prepare()
    binary, *rest = submit.command()
    log = home / "submit.log"
    with log.open("wb") as stream:
        child = subprocess.Popen(
            [binary, "--master", "local[2]", "--conf", f"spark.python.daemon.module={DAEMON}", *rest],
            env={**os.environ, **submit.env, "LOCKSTEP_DEVICE": "cpu", "WARM_RUN": env["WARM_RUN"]},
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    if dice is not None and wait_for_moment(child, folder, dice):
        below = psutil.Process(child.pid).children(recursive=True)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        alive = psutil.wait_procs(below, timeout=20)[1]
        assert not alive, "a worker outlives its driver"
        return True
    assert child.wait(DEADLINE_S) == 0, log.read_text()[-4000:]
    return False


def wait_for_moment(child: "subprocess.Popen[bytes]", folder: RunFolder, dice: random.Random) -> bool:
    """Wait for a random moment in the life of a job; false when the job has ended by then.

    One in five lies in its start, the others after the result of a random unit, or after the manifest.
    """
    finished = len(finished_attempts(folder))
    wanted = dice.randint(finished, UNITS + 1) if dice.random() < 0.8 else None
    after = dice.uniform(0, START_S if wanted is None else AFTER_S)
    staged = count_staged(folder)
    deadline = time.monotonic() + DEADLINE_S
    while wanted is not None and child.poll() is None and time.monotonic() < deadline:
        reached = len(finished_attempts(folder)) >= wanted if wanted <= UNITS else folder.has(MANIFEST)
        if reached and (wanted > finished or count_staged(folder) > staged or finished == UNITS):
            break
        time.sleep(0.005)
    time.sleep(after)
    return child.poll() is None


def count_staged(folder: RunFolder) -> int:
    return len(list(folder.file("staging").glob("*/*.parquet")))


def test_kill_9_of_scoring_processes(
    reference: Reference, forks: LineChild, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tally, dice = Tally("scoring processes"), random.Random(SEED + 2)
    wanted = KILLS - WORKER_KILLS - DRIVER_KILLS
    while tally.kills < wanted:
        folder = reference.template.copy(tmp_path / f"run-{tally.runs}")
        processes, most = 2 if tally.runs % 5 >= 3 else 1, min(PROCESS_KILLS_OF_A_RUN, wanted - tally.kills)
        kills, left = 0, processes
        while left == processes:  # until one was not hit: the units are finished then
            before, seen = finished_attempts(folder), leftovers(folder)
            span = reference.idle_s + (reference.seconds - reference.idle_s) * (UNITS + 1 - len(before)) / UNITS
            moments = [dice.uniform(0, span) if kills + place < most else None for place in range(processes)]
            left = sum(process["killed"] for process in run_forks(forks, folder, moments, accept=processes == 1))
            check_not_scored_again(before, folder)
            kills += left
            tally.where += leftovers(folder) - seen
        tally.kills += kills
        if processes == 2:  # the driver's part, once its workers have ended
            run_forks(forks, folder, [None], accept=True)
        tally.check(folder, reference)
    with capsys.disabled():
        print(f"\n{tally.line()}")
