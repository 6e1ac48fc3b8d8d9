"""Spark profiles: what they build on, overlays, and what is refused."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import ProfileInvalid, ProfileUnknown
from lockstep.run.exit_codes import exit_code
from lockstep.run.profiles import (
    FOLDER,
    Property,
    load_profiles,
    profile_names,
    properties_text,
    read_profile,
)

SHIPPED = Path(__file__).parents[3] / FOLDER
WHOLE = [("local",), ("standalone",), ("yarn",), ("k8s",), ("standalone", "gpu"), ("yarn", "gpu"), ("k8s", "gpu")]
KEYS = st.text("abc.", min_size=1, max_size=5).map("spark.{}".format)

VALUES = st.text("xyz 1=:", min_size=1, max_size=6).map(lambda text: f"v{text}".strip())


def write(folder: Path, **profiles: str) -> Path:
    for name, text in profiles.items():
        (folder / f"{name}.conf").write_text(text)
    return folder


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.conf")), ids=lambda path: path.stem)
def test_every_line_is_explained_right_above_it(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert read_profile(path)
    for above, line in zip(["", *lines], lines, strict=False):
        if line and not line.startswith("#"):
            assert re.match(r"# \S", above), f"{line} has no explanation"
            assert not re.match(r"# spark\.", above), f"the line above {line} is one that is turned off"


@pytest.mark.parametrize("names", WHOLE, ids=",".join)
def test_the_shipped_profiles_have_the_common_lines_once(names: tuple[str, ...]) -> None:
    merged = load_profiles(names, SHIPPED)
    assert merged["spark.sql.session.timeZone"] == Property("UTC", "common")
    assert merged["spark.sql.ansi.enabled"].value == "true"
    if names != ("local",):
        assert merged["spark.speculation"] == Property("true", "cluster")
        assert merged["spark.excludeOnFailure.enabled"].value == "true"
        assert merged["spark.decommission.enabled"].value == "true"
    common = read_profile(SHIPPED / "common.conf")
    for name in ("cluster", *names):
        assert not common.keys() & read_profile(SHIPPED / f"{name}.conf").keys(), f"{name} repeats common lines"


def test_an_overlay_changes_what_it_names_and_no_more() -> None:
    base, over = load_profiles(["standalone"], SHIPPED), load_profiles(["standalone", "gpu"], SHIPPED)
    own = read_profile(SHIPPED / "gpu.conf")
    assert {key for key in over if over[key] != base.get(key)} == own.keys()
    assert all(over[key] == Property(value, "gpu") for key, value in own.items())
    assert base.keys() <= over.keys()
    assert (over["spark.task.cpus"].value, over["spark.master"].profile) == ("4", "standalone")


def test_the_last_profile_decides_and_a_base_comes_below_all(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        base="spark.a 1\nspark.b 1\n",
        one="# Builds on: base.\nspark.master local\nspark.b 2\n",
        two="# Builds on: base.\nspark.c=3\n",
    )
    values = {key: value.value for key, value in load_profiles(["one", "two"], folder).items()}
    assert values == {"spark.a": "1", "spark.b": "2", "spark.master": "local", "spark.c": "3"}


@given(st.lists(st.dictionaries(KEYS, VALUES), min_size=1, max_size=4))
def test_merging_is_the_union_in_which_the_last_wins(
    tmp_path_factory: pytest.TempPathFactory, parts: list[dict]
) -> None:
    folder, expected = tmp_path_factory.mktemp("profiles"), {"spark.master": "local"}
    for number, part in enumerate(parts):
        stated = {**({"spark.master": "local"} if number == 0 else {}), **part}
        write(folder, **{f"p{number}": "".join(f"{key} {value}\n" for key, value in stated.items())})
        expected |= part
    merged = load_profiles([f"p{number}" for number in range(len(parts))], folder)
    assert {key: found.value for key, found in merged.items()} == expected
    write(folder, merged=properties_text(merged))
    assert read_profile(folder / "merged.conf") == expected


@pytest.mark.parametrize("name", ["yarnn", "../standalone", "", "log4j2"])
def test_an_unknown_profile_is_named_with_those_there_are(name: str) -> None:
    with pytest.raises(ProfileUnknown, match=r"there are: cluster, common, gpu, k8s, local, standalone, yarn") as error:
        load_profiles([name], SHIPPED)
    assert exit_code(error.value) == 3


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["gpu"], r"no profile in it names a cluster .*expected one of k8s, local, standalone, yarn, first of all"),
        (["cluster"], "names a cluster"),
        ([], "names a cluster"),
        (["local", "gpu"], "local mode hands none out"),
    ],
)
def test_profiles_that_make_no_whole_are_refused(names: list[str], told: str) -> None:
    with pytest.raises(ProfileInvalid, match=told):
        load_profiles(names, SHIPPED)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("spark.master\n", r"p.conf line 1 is 'spark.master'; expected a key and a value"),
        ("spark.master local\nspark.a 1\nspark.a 2\n", r"p.conf line 3 sets spark.a again"),
        ("spark.master local\nspark.a 1 \\\n 2\n", "on one line"),
        ("# Builds on: p.\nspark.master local\n", "builds on itself"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ProfileInvalid, match=told):
        load_profiles(["p"], write(tmp_path, p=text))


def test_names_are_separated_by_commas() -> None:
    assert profile_names(" standalone, gpu,") == ("standalone", "gpu")
