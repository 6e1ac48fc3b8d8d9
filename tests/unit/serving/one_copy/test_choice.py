"""Who holds the models is settled once, by the first worker, and is the same for all."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.cli import serve
from lockstep.serving.one_copy import choice
from lockstep.serving.one_copy.choice import FILE, MOST_PATH_BYTES, settle_copies, socket_of
from lockstep.serving.one_copy.errors import SocketPathTooLong
from lockstep.specs.serving_spec import Serving


def serving(**given: Any) -> Serving:
    return Serving.model_validate({"models": [{"spec": "churn"}], **given})


@pytest.mark.parametrize("copies", ["each", "one"])
def test_what_is_configured_is_so_for_all(copies: str, tmp_path: Path) -> None:
    assert [settle_copies(serving(copies=copies), tmp_path, index=index) for index in (1, 0)] == [copies, copies]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("has_gpu", "copies"), [(True, "one"), (False, "each")])
def test_by_itself_it_is_one_where_there_is_a_gpu(
    has_gpu: bool, copies: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "_has_gpu", lambda: has_gpu)
    monkeypatch.setattr(choice, "MOST_PATH_BYTES", 4096)
    assert settle_copies(serving(), tmp_path, index=0) == copies
    monkeypatch.setattr(choice, "_has_gpu", lambda: not has_gpu)  # only the first worker looks, and only once
    assert [settle_copies(serving(), tmp_path, index=index) for index in (0, 1)] == [copies, copies]


def test_a_folder_with_a_path_too_long_is_told_by_who_settles_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("f" * MOST_PATH_BYTES)
    folder.mkdir()
    with pytest.raises(SocketPathTooLong, match="Set TMPDIR to a folder with a shorter path"):
        socket_of(folder)
    monkeypatch.setattr(choice, "_has_gpu", lambda: True)
    with pytest.raises(SocketPathTooLong):
        settle_copies(serving(), folder, index=0)
    assert not (folder / FILE).exists()
    monkeypatch.setattr(choice, "_has_gpu", lambda: False)
    assert settle_copies(serving(), folder, index=0) == "each"


def test_one_worker_holds_its_models_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    places = []
    monkeypatch.setattr(serve, "_serve", lambda _serving, _sock, place, *, folder: places.append((place, folder)))
    serve._run(serving(copies="one", port=0), folder=Path())
    assert places == [(None, Path())]
