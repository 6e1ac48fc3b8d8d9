import sys
from pathlib import Path

import pytest

from lockstep.publish.online.errors import OnlineClientMissing
from lockstep.publish.online.sqlite_store import SqliteStore
from lockstep.publish.online.stores import ONLINE_STORES, open_online_store
from lockstep.serving.features.readers import READERS, open_reader


def test_every_store_has_a_reader() -> None:
    assert ONLINE_STORES.keys() == READERS.keys()


def test_a_path_is_relative_with_three_strokes_and_absolute_with_four(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for location, path in (("sqlite:///a/b.db", tmp_path / "a" / "b.db"), ("sqlite:////x/b.db", Path("/x/b.db"))):
        store = open_online_store(location, wait_s=1)
        assert isinstance(store, SqliteStore)
        assert (store.path, store.location) == (path, f"sqlite:///{path}")


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_client_that_is_not_installed_is_named(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    for module in ("lockstep.publish.online.redis_store", "lockstep.serving.features.redis_reader", "redis.asyncio"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(OnlineClientMissing, match=f"online store {scheme} needs the package redis"):
        open_online_store(f"{scheme}://cache", wait_s=1)
    with pytest.raises(OnlineClientMissing, match="pip install redis"):
        open_reader(f"{scheme}://cache")
