"""Disk, memory, clock, processes, locale."""

import datetime as dt
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from lockstep.doctor import machine
from lockstep.doctor.machine import GIB, check_clock, check_locale, check_memory, check_places, check_processes
from tests.unit.doctor.worlds import Answers, Echo, states, world

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(("free_gib", "state"), [(0.5, "problem"), (2, "warning"), (50, "ok")])
def test_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_gib: float, state: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free_gib * GIB))
    told = list(check_places(world(tmp_path)))
    assert {one.state for one in told} == {state}
    assert f"{free_gib:.1f} GiB free" in told[0].found


def test_a_folder_that_may_not_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    told = list(check_places(world(tmp_path)))
    assert {one.state for one in told} == {"problem"}
    assert "may not be written to" in told[0].found
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("gib", "state"), [(0.5, "problem"), (2, "warning"), (16, "ok")])
def test_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gib: float, state: str) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": int(gib * GIB / 4096), "SC_PAGE_SIZE": 4096}.__getitem__)
    monkeypatch.setattr(machine, "Path", lambda _: tmp_path / "none")
    assert states(check_memory(world(tmp_path))) == [state]


def test_the_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text(f"{GIB // 2}\n")
    monkeypatch.setattr(machine, "Path", lambda _: tmp_path / "memory.max")
    (told,) = check_memory(world(tmp_path))
    assert (told.state, told.found) == ("problem", "0.5 GiB in all")


def test_a_clock_that_is_behind_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Early(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "Early":
            return cls(1970, 1, 2, tzinfo=tz)

    assert states(check_clock(world(tmp_path))) == ["ok"]
    monkeypatch.setattr(machine.dt, "datetime", Early)
    assert states(check_clock(world(tmp_path))) == ["problem"]


def test_a_time_zone_that_this_machine_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: str) -> None:
        raise KeyError

    monkeypatch.setattr(machine, "ZoneInfo", unknown)
    told = list(check_clock(world(tmp_path)))
    assert "problem" in states(told)
    assert told[0].advice == "install tzdata"


def test_a_fork(tmp_path: Path) -> None:
    assert states(check_processes(world(tmp_path, asking=Echo(0)))) == ["ok"]
    (told,) = check_processes(world(tmp_path, asking=Answers()))
    assert (told.state, "ulimit -u" in told.advice) == ("problem", True)


@pytest.mark.parametrize(("encoding", "state"), [("UTF-8", "ok"), ("utf8", "ok"), ("ANSI_X3.4-1968", "warning")])
def test_the_encoding_of_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, state: str) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda **_: encoding)
    (told,) = check_locale(world(tmp_path, environ={"LANG": "C"}))
    assert (told.state, "(locale: C)" in told.found) == (state, True)
