import threading
from pathlib import Path

import pytest

from lockstep.serving.security.api_keys import entry_text, load_keys, new_api_key
from lockstep.serving.security.errors import SecurityFileInvalid
from lockstep.serving.security.key_file import append_key

_, OLD = new_api_key("old", models=["*"])
KEY, ENTRY = new_api_key("new", models=["churn"])
ITEM = entry_text(OLD)


@pytest.mark.parametrize(
    "before",
    [
        f"keys:\n{ITEM}",
        f"# ours\nkeys:  # all\n{ITEM}# the last\n",
        "keys:\n" + "".join(f"  {line}\n" for line in ITEM.splitlines()) + "\n\n",
        f"keys:\n{ITEM}".rstrip(),
    ],
)
def test_an_entry_comes_after_those_that_are_there(tmp_path: Path, before: str) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(before)
    path.chmod(0o640)
    append_key(path, ENTRY)
    assert path.read_text().startswith(before)
    assert load_keys(path).client_of(KEY, now=0).name == "new"
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("before", "problem"),
    [
        ("keys: []\n", "cannot be appended"),
        (f"keys:\n{ITEM}...\n", "cannot be appended"),
        ("other: 1\n", "unknown key"),
        (f"keys:\n{entry_text(ENTRY)}", "cannot be appended"),
    ],
)
def test_a_file_that_would_not_mean_the_same_is_left_alone(tmp_path: Path, before: str, problem: str) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(before)
    with pytest.raises(SecurityFileInvalid, match=problem):
        append_key(path, ENTRY)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "keys.yaml", tmp_path / "keys.yaml"
    link.symlink_to(target)
    append_key(link, ENTRY)
    assert link.is_symlink()
    assert load_keys(target).client_of(KEY, now=0).name == "new"


def test_none_of_many_at_once_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    made = [new_api_key(f"client-{number}", models=["*"]) for number in range(12)]
    threads = [threading.Thread(target=append_key, args=(path, entry)) for _, entry in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table = load_keys(path)
    assert {table.client_of(key, now=0).name for key, _ in made} == {entry.name for _, entry in made}
