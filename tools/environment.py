"""Make one of the Python environments below `.venv/`, or complete it, or find that nothing is to be done.

Needs only the standard library. A stamp, written last, says that an environment agrees with its lock file; without it
the work is done again, which costs little for what is there already. So it can be interrupted and repeated at will.
"""

import argparse
import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from subprocess import PIPE, STDOUT

ROOT = Path(__file__).resolve().parent.parent
LINE_EVERY_S = 10.0  # where no terminal shows a moving line
NOISE = ("Requirement already satisfied", "WARNING: Location ", "[notice]")


@dataclass(frozen=True)
class Environment:
    """One lock file and the folder that it is installed into.

    Attributes:
        name: Stem of the lock file.
        folder: Below `.venv/`.
        pip_arguments: Of `pip install -r`.
        holds_package: Whether `lockstep` itself is installed too, editable.
        base: Stem of a lock file that is installed first, in the ordinary way.
    """

    name: str
    folder: str
    pip_arguments: tuple[str, ...] = ()
    holds_package: bool = True
    base: str | None = None

    @property
    def home(self) -> Path:
        """The virtual environment."""
        return ROOT / ".venv" / self.folder

    @property
    def packages(self) -> Path:
        """The folder that pip installs into."""
        return self.home / "lib" / "python3.11" / "site-packages"

    @property
    def lock(self) -> Path:
        """The lock file."""
        return ROOT / "requirements" / f"{self.name}.lock"

    @property
    def locks(self) -> tuple[Path, ...]:
        """The lock files in the order of their installation."""
        return (*([ROOT / "requirements" / f"{self.base}.lock"] if self.base else []), self.lock)

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.home / "bin" / "python"


# Servers that the endpoint is measured against, and other people's clients of it.
OTHERS = ("serving", "mlserver", "client-triton", "client-kserve")
ENVIRONMENTS = {
    # Airflow's Spark provider asks for pyspark-client, which is left out of the lock on purpose: tools/lock.py.
    "control": Environment("control", "control", pip_arguments=("--no-deps",)),
    "data": Environment("data", "data"),
    "training": Environment("training", "training"),
    "dev": Environment("dev", "data", holds_package=False),
    # The packaged weights and flights of 2023 ask for libraries that nothing here imports: tools/lock.py.
    "text": Environment("text", "data", pip_arguments=("--no-deps",), holds_package=False),
    "drift": Environment("drift", "data", pip_arguments=("--no-deps",), holds_package=False),
    # Both ask for libraries of GPUs, or that the data environment has: tools/lock.py.
    "foreign": Environment("foreign", "data", pip_arguments=("--no-deps",), holds_package=False),
    "bench": Environment("bench", "bench", pip_arguments=("--no-deps",), base="data"),
    "deploy": Environment("deploy", "deploy", pip_arguments=("--no-deps",), holds_package=False),
    "serving-text": Environment("text", "serving", pip_arguments=("--no-deps",), holds_package=False),
    "mlserver-text": Environment("text", "mlserver", pip_arguments=("--no-deps",), holds_package=False),
    **{name: Environment(name, name, holds_package=False) for name in ("gateway", "docs", *OTHERS)},
}


@dataclass
class Progress:
    """What pip is doing, as one line that moves on a terminal, or as a line now and then elsewhere."""

    name: str
    goal: int  # packages in the lock
    packages: Path  # folder that pip installs into
    step: str = "starting"
    seen: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)
    last_shown: float = field(default_factory=time.monotonic)

    def note(self, line: str) -> None:
        """Take in one line of pip's output."""
        if self.step.endswith("itself"):
            return
        if match := re.match(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)", line):
            self.seen.add(re.sub(r"[._-]+", "-", match.group(1)).lower())
            self.step = f"looking at package {min(len(self.seen), self.goal)} of {self.goal}"
        elif match := re.match(r" *Downloading ([\w.]+)-.*(\(.*\))", line):
            count = f"package {min(len(self.seen), self.goal)} of {self.goal}"
            self.step = f"{count}, downloading {match.group(1)} {match.group(2)}"
        elif line.startswith("Installing "):
            self.step = "installing"

    def show(self) -> None:
        """Write the line if it is time."""
        step = self.step
        if step == "installing":
            step = f"installing, {sum(1 for _ in self.packages.glob('*.dist-info'))} packages are there"
        line = f"{self.name}: {step} ({time.monotonic() - self.started:.0f} s)"
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\033[K{line[:width]}", end="", flush=True)
        elif time.monotonic() - self.last_shown >= LINE_EVERY_S:
            self.last_shown = time.monotonic()
            print(line, flush=True)

    def close(self) -> None:
        """Make room for other output."""
        if sys.stdout.isatty():
            print("\r\033[K", end="", flush=True)


def main() -> int:
    """Make the environments named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=list(ENVIRONMENTS))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for name in parser.parse_args().names:
            set_up(ENVIRONMENTS[name])
    except KeyboardInterrupt:
        print("\ninterrupted: the same command goes on from here", flush=True)
        return 130
    return 0


def set_up(environment: Environment) -> None:
    """Bring one environment into agreement with its lock file."""
    with exclusive(environment) as lock_fd:
        stamp = stamp_path(environment)
        if stamp.exists() and is_healthy(environment):
            print(f"{environment.name}: up to date", flush=True)
            return
        started = time.monotonic()
        goal = len({line for lock in environment.locks for line in lock.read_text().splitlines() if "==" in line})
        where = environment.home.relative_to(ROOT)
        locks = " and ".join(str(lock.relative_to(ROOT)) for lock in environment.locks)
        print(f"{environment.name}: {goal} packages of {locks} into {where}", flush=True)
        make_venv(environment)
        remove_remains(environment.packages)
        progress = Progress(environment.name, goal, environment.packages)
        for lock in environment.locks:
            own = environment.pip_arguments if lock == environment.lock else ()
            pip_install(environment, [*own, "-r", str(lock)], progress=progress, lock_fd=lock_fd)
        compile_modules(environment, progress)
        if environment.holds_package:
            progress.step = "installing lockstep itself"
            pip_install(environment, ["--no-deps", "-e", str(ROOT)], progress=progress, lock_fd=lock_fd)
            # Left by the build. With the repository on PYTHONPATH Airflow would find its plugin twice, and complain.
            shutil.rmtree(ROOT / "lockstep.egg-info", ignore_errors=True)
            subprocess.run([environment.python, ROOT / "tools" / "note_lock.py", environment.lock], check=True)
        for old in environment.home.glob(f".installed-{environment.name}-*"):
            old.unlink()
        stamp.touch()
        size_gb = sum(path.lstat().st_size for path in environment.home.rglob("*")) / 1e9
    print(f"{environment.name}: ready in {time.monotonic() - started:.0f} s, {size_gb:.1f} GB in all", flush=True)


def stamp_path(environment: Environment) -> Path:
    """Return the stamp; its name changes with the lock, the package's metadata and the place of the environment."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    facts = [*(lock.read_text() for lock in environment.locks), str(environment.home), repr(environment.pip_arguments)]
    if environment.holds_package:
        facts += [repr(project["build-system"]), repr(project["project"]), repr(project["tool"]["setuptools"])]
    return environment.home / f".installed-{environment.name}-{sha256(chr(0).join(facts).encode()).hexdigest()[:16]}"


def is_healthy(environment: Environment) -> bool:
    """Say whether the interpreter starts, is a 3.11 and has pip."""
    check = "import sys, pip; sys.exit(sys.version_info[:2] != (3, 11))"
    with contextlib.suppress(OSError):
        return subprocess.run([str(environment.python), "-c", check], capture_output=True, check=False).returncode == 0
    return False


def make_venv(environment: Environment) -> None:
    """Create the virtual environment unless a sound one is there."""
    if is_healthy(environment):
        return
    if environment.home.exists():
        where = environment.home.relative_to(ROOT)
        print(f"{environment.name}: what is in {where} is unusable; making it anew", flush=True)
    answer = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(environment.home)], capture_output=True, text=True, check=False
    )
    if answer.returncode < 0:
        raise KeyboardInterrupt
    if answer.returncode != 0:
        sys.exit(
            f"{environment.name}: {sys.executable} cannot make a virtual environment "
            f"(on Debian: apt-get install python3.11-venv):\n{answer.stdout}{answer.stderr}"
        )


def remove_remains(packages: Path) -> None:
    """Remove what an interrupted pip leaves: a package without RECORD looks installed to pip, and is not."""
    for folder in packages.glob("*.dist-info"):
        if not (folder / "RECORD").exists():
            shutil.rmtree(folder)
    for remains in packages.glob("~*"):
        shutil.rmtree(remains, ignore_errors=True)


def pip_install(environment: Environment, arguments: Sequence[str], *, progress: Progress, lock_fd: int) -> None:
    """Run `pip install`, show its progress, and end this program with the reason when it fails."""
    command = [str(environment.python), "-m", "pip", "install", "--no-compile", "--progress-bar", "off", *arguments]
    variables = {"PYTHONUNBUFFERED": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    log = environment.home / f"{environment.name}.log"
    tail: deque[str] = deque(maxlen=25)
    # pip keeps the lock: should this program be killed, the next one waits for pip to end.
    with (
        log.open("a") as out,
        subprocess.Popen(
            command, stdout=PIPE, stderr=STDOUT, text=True, cwd=ROOT, env=os.environ | variables, pass_fds=[lock_fd]
        ) as pip,
    ):
        try:
            with ticking(progress):
                for line in pip.stdout or ():
                    out.write(line)
                    progress.note(line)
                    if not line.startswith(NOISE):
                        tail.append(line)
        except KeyboardInterrupt:
            pip.terminate()
            raise
    if pip.returncode != 0:
        sys.exit(f"{environment.name}: pip failed. Its last words (all of them: {log}):\n{''.join(tail)}")


def compile_modules(environment: Environment, progress: Progress) -> None:
    """Compile what was installed, on all cores where pip would use one; imports may be forbidden to write."""
    command = [str(environment.python), "-m", "compileall", "-q", "-j", "0", str(environment.packages)]
    progress.step = "compiling"
    with ticking(progress):
        subprocess.run(command, capture_output=True, check=False)  # what is no Python after all may stay as it is


@contextlib.contextmanager
def ticking(progress: Progress) -> Iterator[None]:
    """Show progress every second, also while pip is silent."""
    done = threading.Event()

    def tick() -> None:
        while not done.wait(1.0):
            progress.show()

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        progress.close()


@contextlib.contextmanager
def exclusive(environment: Environment) -> Iterator[int]:
    """Hold the environment against other set-ups, those of a killed `make` included."""
    (ROOT / ".venv").mkdir(exist_ok=True)
    with (ROOT / ".venv" / f".{environment.folder}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{environment.name}: another set-up is at work on it; waiting for its end", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


if __name__ == "__main__":
    sys.exit(main())
