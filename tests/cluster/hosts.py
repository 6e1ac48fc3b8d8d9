"""Hosts in network namespaces of this machine: own addresses, one network, and each can be cut off, slowed or killed.

The files of a host are its own as well: below `PRIVATE` each daemon sees an empty folder that nobody else has.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SUBNET = "10.213.77"
CLONE_NEWNET = 0x40000000
# Makes a private folder, then becomes the program.
OWN_FILES = 'mount -t tmpfs -o size=2g,mode=0755 tmpfs "$0" && exec "$@"'


def unfit() -> str | None:
    """Say why this machine cannot have such hosts, if that is so."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    missing = [name for name in ("ip", "tc", "unshare", "nsenter") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} of iproute2 and util-linux not found"
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True, check=False)
    return f"no right to make network namespaces: {tried.stderr.strip()}" if tried.returncode else None


@dataclass
class Hosts:
    """Hosts on one network; the driver's is where the tests themselves run."""

    names: Sequence[str]
    private: Path
    _prefix: str = field(default_factory=lambda: f"lockstep{os.getpid()}")

    def address(self, name: str) -> str:
        """Return a host's address."""
        return f"{SUBNET}.{1 + self.names.index(name)}"

    def namespace(self, name: str) -> str:
        """Return the name of a host's namespace."""
        return f"{self._prefix}-{name}"

    def command(self, name: str, command: Sequence[str]) -> list[str]:
        """Return a command that runs on a host, with files of its own below `private`."""
        own = ["unshare", "--mount", "sh", "-c", OWN_FILES, str(self.private)]
        return ["ip", "netns", "exec", self.namespace(name), *own, *command]

    def make(self) -> None:
        """Make the hosts and the switch between them."""
        self.private.mkdir(parents=True, exist_ok=True)
        switch = self.namespace("switch")
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "switch", "type", "bridge")
        _ip("-n", switch, "link", "set", "switch", "up")
        for name in self.names:
            own, port = self.namespace(name), self._port(name)
            _ip("netns", "add", own)
            _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", own)
            _ip("-n", switch, "link", "set", port, "master", "switch", "up")
            _ip("-n", own, "address", "add", f"{self.address(name)}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", own, "link", "set", device, "up")

    def remove(self) -> None:
        """End what runs on the hosts, and remove them."""
        for name in (*self.names, "switch"):
            self.kill(name)
            subprocess.run(["ip", "netns", "delete", self.namespace(name)], capture_output=True, check=False)

    def pids(self, name: str) -> list[int]:
        """Return the processes of a host, this one apart."""
        try:
            wanted = Path("/var/run/netns", self.namespace(name)).stat().st_ino
        except FileNotFoundError:
            return []
        return [pid for pid in _processes() if pid != os.getpid() and _namespace_of(pid) == wanted]

    def kill(self, name: str) -> None:
        """Let a host crash: all of its processes end at once."""
        while pids := self.pids(name):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def cut_off(self, name: str) -> None:
        """Pull a host's cable: no packet comes or goes, and no connection is closed."""
        _ip("-n", self.namespace("switch"), "link", "set", self._port(name), "down")

    def connect(self, name: str) -> None:
        """Plug the cable in again."""
        _ip("-n", self.namespace("switch"), "link", "set", self._port(name), "up")

    def slow_down(self, name: str, rate: str) -> None:
        """Let a host send no faster than a rate such as `64kbit`."""
        shape = ["qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "16kb", "latency", "2s"]
        subprocess.run(["tc", "-n", self.namespace(name), *shape], check=True, capture_output=True)

    def speed_up(self, name: str) -> None:
        """Let a host send as fast as it can."""
        subprocess.run(["tc", "-n", self.namespace(name), "qdisc", "delete", "dev", "eth0", "root"], check=False)

    def _port(self, name: str) -> str:
        return f"p{self.names.index(name)}"

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Let this thread, and what it starts, be on a host."""
        with Path("/proc/thread-self/ns/net").open("rb") as before:
            with Path("/var/run/netns", self.namespace(name)).open("rb") as there:
                _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _namespace_of(pid: int) -> int | None:
    """Return the network namespace of a process; none: it has ended, or is about to."""
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    except OSError:
        return None


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
