"""Find the Chromium that the browser tests drive; as root on Debian install its package when there is none.

Needs only the standard library. No browser is no failure: the browser tests are then skipped, and say why.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "LOCKSTEP_CHROMIUM"
COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPLICATIONS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
APT_OPTIONS = ("-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3")
APT_TIMEOUT_S = 900
REMEDY = (
    "install Chromium (on Debian: apt-get install chromium) or Chrome, "
    f"or set {VARIABLE} to the program; until then tests/browser is skipped"
)


def main() -> int:
    """Print which browser there is, after installing it where that is possible, or what to do."""
    found, problem = find_chromium(os.environ), ""
    if found is None and not problem_of(os.environ) and may_install():
        print("browser: installing Debian's chromium", flush=True)
        problem = install("chromium")
        found = find_chromium(os.environ)
    print(f"browser: {found}" if found else f"browser: {problem or problem_of(os.environ) or 'none found'}; {REMEDY}")
    return 0


def find_chromium(environ: Mapping[str, str]) -> Path | None:
    """Return the program; none when there is none.

    Args:
        environ: Usually `os.environ`. What LOCKSTEP_CHROMIUM names is taken, and nothing else then.
    """
    if named := environ.get(VARIABLE):
        return Path(named) if os.access(named, os.X_OK) and Path(named).is_file() else None
    installed = (shutil.which(command, path=environ.get("PATH")) for command in COMMANDS)
    applications = (place for place in APPLICATIONS if Path(place).is_file())
    return next((Path(place) for place in (*installed, *applications) if place), None)


def problem_of(environ: Mapping[str, str]) -> str:
    """Return what is wrong with LOCKSTEP_CHROMIUM; nothing if it is not set, or sound."""
    named = environ.get(VARIABLE)
    return f"{VARIABLE}={named} is no program" if named and find_chromium(environ) is None else ""


def may_install() -> bool:
    """Say whether this is Debian, or of its kind, and we are root."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None and Path("/etc/debian_version").is_file()


def install(package: str) -> str:
    """Install a package of Debian; return what went wrong, or nothing."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        command = ["apt-get", *APT_OPTIONS, *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, env=environment, timeout=APT_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return f"apt-get {arguments[0]} took longer than {APT_TIMEOUT_S} s"
        if done.returncode != 0:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            return f"apt-get {arguments[0]} failed ({' '.join(last) or f'exit code {done.returncode}'})"
    return ""


if __name__ == "__main__":
    sys.exit(main())
