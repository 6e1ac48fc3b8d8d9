import datetime as dt
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lockstep.serving.security.api_keys import ApiKeyTable, entry_text, follow_keys, load_keys, new_api_key
from lockstep.serving.security.errors import SecurityFileInvalid, Unauthenticated
from lockstep.specs.serving_security import ApiKeyEntry, ApiKeyFile
from tests.unit.serving.security.issuers import NOW

EXPIRES = dt.datetime.fromtimestamp(NOW, dt.UTC)


def table(*entries: ApiKeyEntry) -> ApiKeyTable:
    return ApiKeyTable(ApiKeyFile(keys=entries))


def write(path: Path, *entries: ApiKeyEntry) -> Path:
    path.write_text("keys:\n" + "".join(entry_text(entry) for entry in entries) if entries else "keys: []\n")
    return path


def refused(keys: ApiKeyTable, key: str, *, now: float = NOW) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        keys.client_of(key, now=now)
    return caught.value


def test_a_new_key_opens_what_it_was_made_for() -> None:
    key, entry = new_api_key("nightly", models=["churn"], roles=["infer", "metrics"])
    client = table(entry).client_of(key, now=NOW)
    assert (client.name, client.method) == ("nightly", "api_key")
    assert client.may("infer", "churn")
    assert client.may("metrics")
    assert not client.may("infer", "fraud")
    assert not client.may("read", "churn")


def test_keys_are_long_random_and_in_no_entry() -> None:
    made = [new_api_key("a", models=["*"]) for _ in range(50)]
    assert len({key for key, _ in made}) == 50
    for key, entry in made:
        assert key.startswith("lsk_")
        assert len(key) == 47
        assert "." not in key
        assert key not in entry_text(entry) + repr(entry)


@pytest.mark.parametrize("kind", ["sha256", "blake2b"])
def test_both_hashes_of_a_key_of_ones_own(kind: str) -> None:
    own = b"made-elsewhere"
    digest = hashlib.sha256(own) if kind == "sha256" else hashlib.blake2b(own, digest_size=32)
    entry = ApiKeyEntry(name="a", hash=f"{kind}:{digest.hexdigest()}", models=("*",))
    _, other = new_api_key("b", models=["*"])
    assert table(other, entry).client_of("made-elsewhere", now=NOW).name == "a"


@given(key=st.text(alphabet=st.characters(codec="ascii"), max_size=60))
def test_no_other_key_opens_anything(key: str) -> None:
    _, entry = KNOWN
    assert refused(table(entry), key).reason == "unknown_key"


KNOWN = new_api_key("nightly", models=["*"])


def test_a_key_that_differs_in_its_last_letter_is_unknown() -> None:
    key, entry = KNOWN
    assert refused(table(entry), key[:-1] + ("A" if key[-1] != "A" else "B")).reason == "unknown_key"


def test_half_a_hash_is_not_enough() -> None:
    key, entry = KNOWN
    half = entry.model_copy(update={"hash": entry.hash[: len("sha256:") + 32] + "0" * 32})
    assert refused(table(half), key).reason == "unknown_key"


def test_a_hash_is_no_key() -> None:
    _, entry = KNOWN
    assert refused(table(entry), entry.hash).reason == "unknown_key"
    assert refused(table(entry), entry.hash.partition(":")[2]).reason == "unknown_key"


def test_an_expired_key_looks_like_an_unknown_one_but_not_to_the_audit() -> None:
    key, entry = new_api_key("nightly", models=["*"], expires=EXPIRES)
    keys = table(entry)
    assert keys.client_of(key, now=NOW - 0.001).name == "nightly"
    expired, unknown = refused(keys, key), refused(keys, "lsk_x")
    assert str(expired) == str(unknown)
    assert expired.challenge == unknown.challenge
    assert (expired.reason, expired.client) == ("expired_key", "nightly")
    assert (unknown.reason, unknown.client) == ("unknown_key", None)


def test_no_keys_at_all() -> None:
    assert refused(table(), "lsk_x").reason == "unknown_key"


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    one = new_api_key("a", models=["churn", "delay"], expires=EXPIRES)
    two = new_api_key("b", models=["*"], roles=["admin"])
    path = write(tmp_path / "keys.yaml", one[1], two[1])
    assert load_keys(path) == table(one[1], two[1])
    assert load_keys(path) != table(two[1])
    assert isinstance(yaml.safe_load(path.read_text())["keys"], list)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("keys: [", "not valid YAML"),
        ("[]", "expected a mapping"),
        ("keys: [{name: a, hash: lsk_secret, models: '*'}]", r"line 1, key keys\.0\.hash: must be 'sha256:'"),
        ("keys: [{name: a, models: '*'}]", "required key is missing"),
    ],
)
def test_a_wrong_file_is_refused_and_no_key_in_it_repeated(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    with pytest.raises(SecurityFileInvalid, match=problem) as caught:
        load_keys(path)
    assert "lsk_secret" not in str(caught.value)


def test_a_file_that_anybody_may_change_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.yaml")
    path.chmod(0o646)
    with pytest.raises(SecurityFileInvalid, match="everybody on this machine may change it"):
        load_keys(path)


def test_keys_come_and_go_without_a_restart(tmp_path: Path) -> None:
    (old, old_entry), (new, new_entry) = new_api_key("a", models=["*"]), new_api_key("a", models=["*"])
    path = write(tmp_path / "keys.yaml", old_entry)
    followed = follow_keys(path)
    followed.current.client_of(old, now=NOW)
    write(path, old_entry, new_entry)
    followed.refresh(now=1.0)
    for key in (old, new):
        assert followed.current.client_of(key, now=NOW).name == "a"
    write(path, new_entry)
    followed.refresh(now=2.0)
    assert refused(followed.current, old).reason == "unknown_key"


def test_a_broken_change_leaves_the_keys_as_they_were(tmp_path: Path, caplog: Any) -> None:
    key, entry = new_api_key("a", models=["*"])
    path = write(tmp_path / "keys.yaml", entry)
    followed = follow_keys(path)
    path.write_text("keys: [{name: b, hash: lsk_pasted, models: '*'}]")
    for now in (1.0, 2.0, 3.0):
        assert followed.refresh(now=now) == 1.0
    assert followed.current.client_of(key, now=NOW).name == "a"
    assert followed.problem is not None
    assert caplog.text.count("changed files are not used") == 1
    assert "lsk_pasted" not in caplog.text
    path.unlink()
    followed.refresh(now=4.0)
    assert followed.current.client_of(key, now=NOW).name == "a"
    write(path)
    followed.refresh(now=5.0)
    assert followed.problem is None
    assert refused(followed.current, key).reason == "unknown_key"


def test_a_second_change_with_the_same_time_and_size_is_seen(tmp_path: Path) -> None:
    (one, one_entry), (two, two_entry) = new_api_key("a", models=["*"]), new_api_key("a", models=["*"])
    path = write(tmp_path / "keys.yaml")
    followed = follow_keys(path)
    write(path, one_entry)
    stamp = time.time_ns()
    os.utime(path, ns=(stamp, stamp))
    followed.refresh(now=1.0)
    write(path, two_entry)
    os.utime(path, ns=(stamp, stamp))
    followed.refresh(now=2.0)
    assert followed.current.client_of(two, now=NOW).name == "a"
    assert refused(followed.current, one).reason == "unknown_key"
