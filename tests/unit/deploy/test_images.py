"""The Dockerfiles against the repository: what they copy and start is there, and nothing runs as root."""

import re
from pathlib import Path

import pytest

import lockstep
from tests.unit.deploy.dockerfile import IMAGES, ROOT, Dockerfile, context, ignored, read
from tools.environment import ENVIRONMENTS

FILES = {path.stem: read(path) for path in sorted(IMAGES.glob("*.Dockerfile"))}
# Image → file and target: what somebody runs.
TARGETS = {
    "lockstep-endpoint": ("endpoint", "cpu"),
    "lockstep-endpoint-gpu": ("endpoint", "gpu"),
    "lockstep-data": ("spark", "spark"),
    "lockstep-airflow": ("airflow", "control"),
    "lockstep": ("airflow", "task"),
    "lockstep-gateway": ("gateway", "0"),
}
OPENCONTAINERS = "org.opencontainers.image."
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "images.md").read_text(encoding="utf-8")
each_image = pytest.mark.parametrize("image", TARGETS)


def target_of(image: str) -> tuple[Dockerfile, str]:
    name, target = TARGETS[image]
    return FILES[name], target


def installed(file: Dockerfile, target: str) -> set[str]:
    """The environments that a target has in the end."""
    names: set[str] = set()
    for stage in file.line_of(target):
        for run in stage.all_of("RUN"):
            for words in re.findall(r"python3\.11 tools/environment\.py ([a-z -]+)", run.rest):
                names |= {*words.split()}
        for copy in stage.all_of("COPY"):
            if "from" in copy.flags:
                names |= installed(file, copy.flags["from"])
    return names


def test_every_dockerfile_is_here() -> None:
    assert {name for name, _ in TARGETS.values()} == FILES.keys()


@each_image
def test_nobody_is_root(image: str) -> None:
    file, target = target_of(image)
    user = file.last(target, "USER")
    assert user is not None
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user.rest)


@each_image
def test_bases_are_named_by_tag_and_can_be_named_by_digest(image: str) -> None:
    file, target = target_of(image)
    base = file.line_of(target)[0].base
    assert re.fullmatch(r"docker\.io/[\w./-]+:[\w.-]*\d[\w.-]*", base)
    assert base in file.arguments.values()
    assert "@sha256:" in file.path.read_text(encoding="utf-8") + PAGE


@each_image
def test_labels_say_what_it_is(image: str) -> None:
    file, target = target_of(image)
    labels = {name.removeprefix(OPENCONTAINERS): value for name, value in file.values(target, "LABEL").items()}
    assert labels.keys() == {"title", "description", "licenses", "version", "revision"}
    assert (labels["title"], labels["licenses"]) == (image, "Apache-2.0")
    defaults = {each.rest for stage in file.line_of(target) for each in stage.all_of("ARG")}
    assert f"VERSION={lockstep.__version__}" in defaults
    assert file.last(target, "HEALTHCHECK") is not None


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_fetched_by_address_and_no_secret_is_kept(name: str) -> None:
    for stage in FILES[name].stages.values():
        assert not stage.all_of("ADD")
        for each in (*stage.all_of("ENV"), *stage.all_of("ARG")):
            assert not re.search("PASSWORD|SECRET|TOKEN|FERNET|SQL_ALCHEMY_CONN", each.rest)
        for run in stage.all_of("RUN"):
            assert not re.search(r"curl|wget|https?://|--(extra-)?index-url|--trusted-host", run.rest)


@pytest.mark.parametrize("name", FILES)
def test_what_is_copied_is_there(name: str) -> None:
    file = FILES[name]
    for stage in file.stages.values():
        for copy in stage.all_of("COPY"):
            for source in copy.words[:-1]:
                if "from" in copy.flags:
                    assert copy.flags["from"] in file.stages
                else:
                    assert any(known == source or known.startswith(f"{source}/") for known in context()), source


@each_image
def test_environments_are_made_as_make_does(image: str) -> None:
    file, target = target_of(image)
    names = installed(file, target)
    for name in names:
        assert name in ENVIRONMENTS
        made = rf"^setup-{name}:.*\n\t@\$\(OR_DOCTOR\) '\$\(PYTHON\)' tools/environment\.py {name}$"
        assert re.search(made, MAKEFILE, re.MULTILINE)
    expected = {
        "lockstep": {"control", "data", "training"},
        "lockstep-airflow": {"control"},
        "lockstep-gateway": set[str](),
    }
    assert names == expected.get(image, {"data"})


@each_image
def test_every_path_that_is_named_is_in_the_image(image: str) -> None:
    file, target = target_of(image)
    texts = [step.rest for word in ("ENTRYPOINT", "CMD", "HEALTHCHECK") if (step := file.last(target, word))]
    texts += file.values(target, "ENV").values()
    copied = file.files(target)
    folders = {str(parent) for path in copied for parent in Path(path).parents}
    for path in {path for text in texts for path in re.findall(r"/opt/lockstep[\w./-]*", text)}:
        if match := re.match(r"/opt/lockstep/(\.venv/(\w+)/.+)", path):
            assert match.group(2) in installed(file, target)
            assert (ROOT / match.group(1)).exists(), f"make setup-{match.group(2)} makes no {match.group(1)}"
        else:
            assert path in copied or path in folders, path


def test_what_is_uninstalled_was_installed_and_is_not_imported_there() -> None:
    pins = (ROOT / "requirements" / "data.lock").read_text(encoding="utf-8")
    for name in ("endpoint", "spark"):
        (run,) = FILES[name].stages["build"].all_of("RUN")
        words = run.rest.partition("pip uninstall --yes --quiet ")[2].split()
        assert words
        for package in words:
            assert re.search(rf"^{package}==", pins, re.MULTILINE), package


def test_local_files_are_not_sent() -> None:
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for file in (".git/config", ".venv/data/bin/python", "var/airflow/passwords.json", ".env", "models/x/.env"):
        assert ignored(file, patterns)
    assert ignored("spark-conf/mine.local.conf", patterns)
    assert not ignored("lockstep/serving/status/page.html", patterns)
    assert {file.partition("/")[0] for file in context()} & {"tests", "docs", "benchmarks"} == set()


def test_the_packages_own_data_is_sent() -> None:
    kept = [path for path in (ROOT / "lockstep").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {str(path.relative_to(ROOT)) for path in kept} <= {*context()}


@each_image
def test_the_page_says_how_to_build_it(image: str) -> None:
    name, target = TARGETS[image]
    option = "" if target in {"0", "spark"} else f" --target {target}"
    command = f"docker build -f deploy/images/{name}.Dockerfile{option} -t {image}:{lockstep.__version__} ."
    assert command in PAGE
    assert command in FILES[name].path.read_text(encoding="utf-8")
