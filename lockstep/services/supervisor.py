"""Starts components in stages, watches them, and stops them in reverse order, whatever happens.

Why not honcho (which is a good Procfile runner): it starts everything at once and stops everything at once, with five
seconds until SIGKILL; it knows no readiness; it puts a shell and a Python process around each command; and its children
outlive a killed manager. PostgreSQL has to be up before Airflow and down after it, so the order is the point here.

Signals only set a flag, which every wait looks at: a Ctrl-C between starting a process and noting it loses no process.
"""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from lockstep.services.errors import CommandFailed, ServiceDied
from lockstep.services.log import Sink
from lockstep.services.process import Component, Running, family, kill
from lockstep.services.state import ServiceState

POLL_S = 0.1
SYSTEM = "lockstep"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(Exception):
    """Ctrl-C or SIGTERM: not an error."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


class Supervisor:
    """The running components of one home.

    Args:
        state: Record of what runs.
        sink: Where log lines go.
    """

    def __init__(self, state: ServiceState, *, sink: Sink) -> None:
        self._state = state
        self._sink = sink
        self._stages: list[list[Running]] = []
        self._command: list[Running] = []
        self._signals: list[int] = []
        self._guard: subprocess.Popen[bytes] | None = None
        self.urls: list[str] = []

    @contextlib.contextmanager
    def supervising(self) -> Iterator["Supervisor"]:
        """Take the lock, mend what a killed predecessor left, handle signals; at the end stop everything."""
        with self._state.locked():
            if names := self._state.stop_leftovers():
                self.say(f"stopped what a killed run had left behind: {', '.join(names)}")
            previous = {sign: signal.signal(sign, self._on_signal) for sign in STOP_SIGNALS}
            try:
                self._guard = self._start_guard()
                yield self
            finally:
                self.stop()
                for sign, handler in previous.items():
                    signal.signal(sign, handler)

    def say(self, text: str) -> None:
        """Write a line of our own into the log."""
        self._sink(SYSTEM, text)

    def start(self, components: Sequence[Component]) -> None:
        """Start a stage, without waiting for it."""
        stage: list[Running] = []
        self._stages.append(stage)
        for component in components:
            self.check()
            stage.append(self._launch(component))
            self._note()
            self.say(f"started {component.name} (process {stage[-1].pid})")

    def wait_ready(self) -> None:
        """Wait until all that was started is ready.

        Raises:
            ServiceDied: A component ended, or took too long.
        """
        begin = time.monotonic()
        for running in [r for stage in self._stages for r in stage]:
            while not running.is_ready:
                self.check()
                running.is_ready = running.component.ready()
                if not running.is_ready and time.monotonic() - begin > running.component.ready_timeout_s:
                    limit = f"did not become healthy within {running.component.ready_timeout_s:.0f} s"
                    raise ServiceDied(running.component.name, reason=limit, tail=list(running.tail))
                time.sleep(0 if running.is_ready else POLL_S)

    def check(self) -> None:
        """Raise when a stop was asked for or a component has died; cheap, to be called in every wait."""
        if self._signals:
            raise StopRequested(self._signals[0])
        for running in [r for stage in self._stages for r in stage]:
            code = running.exit_code()
            if code is not None:
                running.drain()
                reason = f"ended by itself with exit code {code}" if code >= 0 else f"was killed by signal {-code}"
                raise ServiceDied(running.component.name, reason=reason, tail=list(running.tail))

    def run(self, component: Component, *, what: str, on_line: Callable[[str], None] | None = None) -> list[str]:
        """Run a command that ends by itself; return its last lines.

        Args:
            component: What to run.
            what: For the error.
            on_line: Called now and then with the newest line of its output.

        Raises:
            CommandFailed: Its exit code is not 0.
        """
        self.check()
        running = self._launch(component)
        self._command = [running]
        self._note()
        try:
            while running.exit_code() is None:
                self.check()
                if on_line is not None and running.tail:
                    on_line(running.tail[-1])
                time.sleep(POLL_S)
        finally:
            self._end([running])
            self._command = []
            self._note()
        if running.exit_code() != 0:
            raise CommandFailed(what, exit_code=running.exit_code() or 0, tail=list(running.tail))
        return list(running.tail)

    def stop(self) -> None:
        """Stop all stages, last started first. A second signal meanwhile kills."""
        if any(self._stages):
            self.say("stopping everything")
        while self._stages:
            self._end(self._stages[-1])
            self._stages.pop()
        self._state.clear()
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait()
            self._guard = None
            self.say("all stopped")

    def _launch(self, component: Component) -> Running:
        try:
            return Running(component, sink=self._sink)
        except OSError as error:
            raise ServiceDied(component.name, reason=f"cannot be started ({error})", tail=[]) from error

    def _end(self, stage: Sequence[Running]) -> None:
        pids = [running.pid for running in stage]
        members = family(pids)
        for running in stage:
            running.ask_to_stop()
        asked, signals_before = time.monotonic(), len(self._signals)
        for running in stage:
            deadline = asked + running.component.stop_timeout_s
            while running.exit_code() is None and time.monotonic() < deadline:
                if len(self._signals) > max(signals_before, 1):
                    break
                time.sleep(POLL_S / 2)
        kill(members | family(pids))
        for running in stage:
            running.process.wait()
            running.drain()

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        self._signals.append(signum)

    def _note(self) -> None:
        started = [r for stage in [*self._stages, self._command] for r in stage]
        self._state.write([(r.component.name, r.pid, r.component.stop_signal) for r in started], urls=self.urls)

    def _start_guard(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "lockstep.services.guard", str(self._state.home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
