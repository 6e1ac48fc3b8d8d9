"""Tables of lakes in a store of objects: what is other there than on a disk. What is the same: test_contract.py."""

import datetime as dt
import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lockstep.errors import StoreUnusable
from lockstep.publish.contract import PublishRequest
from lockstep.publish.lake import delta_log
from lockstep.run.exit_codes import exit_code
from lockstep.storage.files import hand_in_tree
from lockstep.storage.objects import Facts, ObjectPath
from tests.integration.s3_server import KEY, SECRET, Store
from tests.publish import publisher
from tests.publish.conftest import make
from tests.publish.lake_store import BUCKET, Lake, Recorder, Request, reached_anew
from tests.publish.places import STORED, TABLE, Place
from tests.publish.staged import DAY, NOON
from tests.unit.steps.runs import make_run, parcels, pass_audit

ROUNDS = 3
LONG = 4
ROOT = ObjectPath(f"s3://{BUCKET}", "")
WRONG = "another-very-secret-word"
LOG_FILE = re.compile(r"/_delta_log/(\d{20})\.json$")

Build = Callable[..., PublishRequest]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(params=STORED)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty warehouse whose tables are in the store."""
    return make(request.param, tmp_path, request)


@pytest.fixture
def delta(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """One of Delta's."""
    return make("stored-delta", tmp_path, request)


@pytest.fixture(scope="module")
def crowd(lake: Store) -> Iterator[ProcessPoolExecutor]:
    """Two processes that have imported what they need."""
    with publisher.workers(2) as pool:
        yield pool


@dataclass(frozen=True)
class Watched:
    """A process that reaches the store through a recorder.

    The recorder is in this one: delta-rs keeps Python's lock while it waits for some answers.
    """

    pool: ProcessPoolExecutor
    recorder: Recorder

    def call(self, work: Callable[..., str], *args: object) -> str:
        """Call a function of `publisher` there."""
        return self.pool.submit(work, *args).result()

    def asked(self, part: str) -> list[Request]:
        """Return the requests for paths with that part."""
        return [one for one in self.recorder.requests() if part in one.path]


@pytest.fixture(scope="module")
def watched(lake: Store) -> Iterator[Watched]:
    recorder = Recorder(int(lake.url.rpartition(":")[2]))
    with publisher.workers(1) as pool:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", recorder.url)
            pool.submit(os.getpid).result()
        yield Watched(pool, recorder)
    recorder.close()


def placed(run_key: str) -> dict[str, Facts]:
    """The data files of a run, in whichever table."""
    return {name: facts for name, facts in ROOT.files_below() if f"/{run_key}-" in name}


def test_two_publish_one_partition_at_the_same_time(
    place: Place, request_for: Build, crowd: ProcessPoolExecutor
) -> None:
    """From the first claim on, when nothing is there yet, the run that was planned later is live in the end, whole."""
    staged = {key: request_for(key, 0, rows=200 + i) for i, key in enumerate("ab")}
    tokens = publisher.all_at_once(crowd, publisher.claim, place, list(staged))
    assert len({int(token) for token in tokens}) == len(staged), tokens
    for round_ in range(ROUNDS):
        order = "ab" if round_ % 2 else "ba"
        now = NOON + dt.timedelta(hours=round_)
        requests = [replace(staged[key], token=place.claim(key), now=now) for key in order]
        first, last = publisher.all_at_once(crowd, publisher.publish, place, requests)
        assert last == "published"
        assert first.partition(":")[0] in {"published", "noop", "StaleRun"}
        assert place.live() == [(DAY, order[-1], staged[order[-1]].rows)]


def test_a_publisher_that_is_killed_between_its_copies_and_its_commit(place: Place, request_for: Build) -> None:
    dead, gone = f"dead{place.kind}", f"gone{place.kind}"
    place.open().publish(request_for("old", place.claim("old")))
    request = request_for(dead, place.claim(dead), rows=8)
    process = multiprocessing.get_context("spawn").Process(target=publisher.place_and_die, args=(place, request))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    copied = placed(dead)
    assert len(copied) == len(request.files)
    assert place.live() == [(DAY, "old", 6)]

    assert place.open().publish(request).outcome == "published"
    assert place.live() == [(DAY, dead, 8)]
    assert place.open().publish(replace(request, now=NOON + dt.timedelta(hours=1))).outcome == "noop"
    assert placed(dead) == copied  # neither copied again nor elsewhere

    warehouse = place.open()
    warehouse.prepare(request_for(gone, place.claim(gone)))  # and then nobody publishes it
    orphans = {name.rpartition("/")[2] for name in placed(gone)}
    young = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    assert not [text for text in swept(place, before=young, dry_run=False) if "file " in text]
    later = young + dt.timedelta(hours=2)
    told = swept(place, before=later, dry_run=True)
    assert {text.split()[1].rpartition("/")[2] for text in told if dead not in text and gone in text} == orphans
    assert placed(gone)
    assert swept(place, before=later, dry_run=False) == told
    assert (placed(gone), placed(dead)) == ({}, copied)
    assert place.live() == [(DAY, dead, 8)]


def swept(place: Place, *, before: dt.datetime, dry_run: bool) -> list[str]:
    return place.open().vacuum(TABLE, keep=set(), before=before, dry_run=dry_run)


def test_a_commit_is_one_conditional_request(delta: Place, request_for: Build, watched: Watched) -> None:
    for key in "ab":
        assert watched.call(publisher.plan_and_publish, delta, request_for(key, 0)) == "published"
    logs = watched.asked(f"{delta.location.removeprefix('s3:/')}/")
    logs = [one for one in logs if "/_delta_log/" in one.path]
    commits = [one for one in logs if one.method == "PUT"]
    # Claims: made and two. Table: made and two publications. Ledger: made and two entries.
    assert len(commits) == len({one.path for one in commits}) == 9
    assert [one.path for one in commits if not LOG_FILE.search(one.path)] == []
    assert [one.path for one in commits if "\r\nif-none-match: *" not in f"\r\n{one.headers}"] == []
    assert {one.method for one in logs} <= {"PUT", "GET", "HEAD"}
    assert [one.path for one in logs if "x-amz-copy-source" in one.headers] == []


def test_a_commit_whose_answer_is_lost_is_found_and_not_made_twice(
    delta: Place, request_for: Build, watched: Watched
) -> None:
    assert watched.call(publisher.plan_and_publish, delta, request_for("old", 0)) == "published"
    request = request_for("a", delta.claim("a"), rows=8)
    watched.recorder.lose = re.compile(rb"^PUT \S+/" + TABLE.encode() + rb"/_delta_log/0\S+\.json")
    first = watched.call(publisher.publish, delta, request)
    assert first == "noop" or first.startswith("CommitUncertain: "), first
    assert watched.recorder.lost == 1
    assert delta.live() == [(DAY, "a", 8)]
    assert watched.call(publisher.publish, delta, replace(request, now=NOON + dt.timedelta(hours=1))) == "noop"
    outcomes = [entry.outcome for entry in delta.open().history(TABLE) if entry.run_key == "a"]
    assert outcomes.count("published") == 1


def test_the_entry_of_an_old_partition_is_found_in_a_long_log(
    delta: Place, request_for: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta_log, "AT_ONCE", 2)
    days = [DAY, DAY + dt.timedelta(days=1)]
    first, second = (request_for("a", delta.claim("a", day), day=day) for day in days)
    delta.open().publish(first)
    for minute in range(LONG):
        delta.open().publish(replace(second, now=NOON + dt.timedelta(minutes=minute)))
    live = [delta.open().live(TABLE, day) for day in days]
    assert [(one.outcome, one.token) for one in live if one] == [("published", first.token), ("noop", second.token)]
    told = [(entry.partition, entry.outcome) for entry in delta.open().history(TABLE)]
    assert sorted(told) == sorted([(day, "published") for day in days] + [(days[1], "noop")] * (LONG - 1))


def test_a_run_in_the_store_is_copied_there(delta: Place, watched: Watched, tmp_path: Path) -> None:
    """Its files get into the table without passing through this machine again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCKSTEP_DELTA", delta.location)
        spec = {"publish": {"warehouse": "delta", "table": TABLE}, "reporting": {}}
        made = pass_audit(make_run(tmp_path, table=parcels(), **spec))
    on_disk = Path(str(made.path))
    staged = sorted((on_disk / unit.staged).read_bytes() for unit in made.manifest(step="test").units)
    stored = ROOT / "runs" / on_disk.name
    hand_in_tree(on_disk, stored)

    assert watched.call(publisher.publish_run, str(stored), tmp_path, delta.location) == "published"
    assert len(delta.read()) == parcels().num_rows
    files = {name: (ROOT / name).read_bytes() for name in placed(on_disk.name) if f"/{TABLE}/" in name}
    assert sorted(files.values()) == staged
    put = {one.path: one for one in watched.asked(f"/{TABLE}/") if one.method == "PUT"}
    assert [name for name in files if "x-amz-copy-source: " not in put[f"/{BUCKET}/{name}"].headers] == []


def test_a_profile_says_who_we_are(
    delta: Place, request_for: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "credentials"
    profile.write_text(f"[night]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        patch.setenv("AWS_PROFILE", "night")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
        with reached_anew():
            delta.open().publish(request_for("a", delta.claim("a")))
    assert delta.live() == [(DAY, "a", 6)]


@pytest.mark.parametrize(
    ("env", "bucket", "said"),
    [
        ({"AWS_SECRET_ACCESS_KEY": WRONG}, BUCKET, "it refuses access"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, BUCKET, "there are no credentials"),
        ({}, "nowhere", "there is no such bucket"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    delta: Place, env: dict[str, str], bucket: str, said: str, lake: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    wrong = replace(delta, location=Lake(f"s3://{bucket}/{{}}").create("wrong"))
    with reached_anew():
        for step in (lambda: wrong.claim("a"), lambda: wrong.open().live(TABLE, DAY)):
            with pytest.raises(StoreUnusable, match=said) as caught:
                step()
            text = str(caught.value)
            assert text.startswith(f"object store, s3://{bucket}")
            assert "\n" not in text
            assert not [word for word in (SECRET, WRONG, KEY, lake.url) if word in text]
            assert exit_code(caught.value) == 4


def test_what_is_wrong_with_the_tables_of_a_catalog_is_said_as_well(
    stored_iceberg: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WRONG)
    with reached_anew(), pytest.raises(StoreUnusable, match=r"AWS Error ACCESS_DENIED|it refuses access") as caught:
        Place("iceberg", stored_iceberg.create("wrong")).claim("a")
    assert not [word for word in (SECRET, WRONG, KEY) if word in str(caught.value)]


def test_secrets_are_in_no_object(place: Place, request_for: Build) -> None:
    """Nor in the log, the ledger or the metadata of tables, which are objects."""
    place.open().publish(request_for("a", place.claim("a")))
    place.open().refuse(request_for("b", place.claim("b")), "for a test")
    # Arrow marks folders by empty objects, whose names end in a slash.
    everything = {name: (ROOT / name).read_bytes() for name, facts in ROOT.files_below() if facts.st_size}
    assert [name for name in everything if name.endswith(".json")]
    assert [name for name, data in everything.items() if SECRET.encode() in data] == []
