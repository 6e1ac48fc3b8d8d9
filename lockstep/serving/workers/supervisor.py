"""The process above the workers: starts them, starts one again that ended, and stops them all."""

import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from lockstep.run.processes import die_with_parent
from lockstep.serving.listening import refuse
from lockstep.serving.server import url_of
from lockstep.serving.workers.board import READY
from lockstep.serving.workers.shared_metrics import bury

POLL_S = 0.05
# A worker that keeps ending is started again after a pause that grows, up to this.
LONGEST_PAUSE_S = 30.0
# One that has served for so long starts with the shortest pause again.
WELL_S = 60.0

_log = logging.getLogger("lockstep.serving")

Start = Callable[[int], "subprocess.Popen[bytes]"]


@dataclass
class _Worker:
    index: int
    process: "subprocess.Popen[bytes]"
    began: float
    ends: int = 0
    again_at: float | None = None


@dataclass
class Supervisor:
    """Keeps so many workers running.

    Attributes:
        count: Workers.
        folder: Shared by them.
        start: Starts the worker of an index.
        grace_s: How long they may take to stop.
        drain_s: How long before that they go on, and get new connections.
    """

    count: int
    folder: Path
    start: Start
    grace_s: float
    drain_s: float = 0.0
    _stopping: bool = field(default=False, init=False)
    _workers: list[_Worker] = field(default_factory=list, init=False)

    def run(self, sock: socket.socket) -> int:
        """Run until SIGTERM or SIGINT, or until a worker cannot start at all.

        Args:
            sock: Bound, and inherited by the workers.

        Returns:
            Exit code: 0, or that of a worker that ended before it was ready for the first time.
        """
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._workers = [self._started(index) for index in range(self.count)]
            failed = self._wait_until_ready()
            if failed is not None:
                return failed
            if not self._stopping:
                _log.info("ready on %s with %d workers", url_of(sock), self.count)
            while not self._stopping:
                for worker in self._workers:
                    self._look_after(worker)
                time.sleep(POLL_S)
            return 0
        finally:
            self._end_all(sock)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _started(self, index: int) -> _Worker:
        (self.folder / READY.format(index=index)).unlink(missing_ok=True)
        return _Worker(index, self.start(index), time.monotonic())

    def _wait_until_ready(self) -> int | None:
        """Return the exit code of a worker that ended before all were ready, else none."""
        while not self._stopping:
            for worker in self._workers:
                code = worker.process.poll()
                if code is not None:
                    return code or 1
            if all((self.folder / READY.format(index=worker.index)).exists() for worker in self._workers):
                return None
            time.sleep(POLL_S)
        return None

    def _look_after(self, worker: _Worker) -> None:
        code, now = worker.process.poll(), time.monotonic()
        if code is None:
            return
        if worker.again_at is None:
            bury(self.folder, worker.process.pid)
            worker.ends = 0 if now - worker.began > WELL_S else worker.ends + 1
            pause_s = min(0.1 * 2.0 ** (worker.ends - 1), LONGEST_PAUSE_S) if worker.ends else 0.0
            worker.again_at = now + pause_s
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            _log.error("worker %d (process %d) ended %s; it is started again", worker.index, worker.process.pid, how)
        if now >= worker.again_at:
            fresh = self._started(worker.index)
            worker.process, worker.began, worker.again_at = fresh.process, fresh.began, None

    def _end_all(self, sock: socket.socket) -> None:
        running = [worker.process for worker in self._workers if worker.process.poll() is None]
        for process in running:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        if self.drain_s and running:
            time.sleep(self.drain_s)
            refuse(sock)  # which they share, so that none of them may
        # Connections of gRPC live for half as long as the drain.
        ends = time.monotonic() + self.drain_s + self.grace_s + 5
        for process in running:
            try:
                process.wait(max(ends - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                _log.error("worker process %d did not stop in time and was killed", process.pid)
                process.kill()
                process.wait()


def starter(shared: Path, sock: socket.socket, *, folder: Path) -> Start:
    """Return what starts a worker: `lockstep serve-worker`.

    Args:
        shared: Folder of the workers.
        sock: Bound; handed on.
        folder: Where relative paths of the configuration begin.
    """
    descriptor = sock.fileno()

    def start(index: int) -> "subprocess.Popen[bytes]":
        # A session of its own: Ctrl-C reaches the supervisor alone, which lets the workers finish.
        return subprocess.Popen(
            [sys.executable, "-m", "lockstep", "serve-worker", str(shared), str(folder), str(index), str(descriptor)],
            pass_fds=[descriptor],
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl call, safe after fork
        )

    return start
