"""What every online store is held to, beside a model of it that is a dictionary."""

import asyncio
import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from lockstep.publish.online.contract import OnlineStore
from lockstep.publish.online.errors import NewerOnline
from lockstep.serving.features.lookup import Lookup, LookupRequest, OnlineReader
from tests.unit.publish.online.loads import day, fence, load, run_rows

RUNS = ("a", "b", "c")
DAYS = 4
ROWS = 3

Step = tuple[Any, ...]


def steps() -> st.SearchStrategy[list[Step]]:
    """Sequences of what publishers do; a token is of one run."""
    run = st.integers(0, len(RUNS) - 1)
    token = st.tuples(run, st.integers(0, 4)).map(lambda pair: (RUNS[pair[0]], pair[1] * len(RUNS) + pair[0] + 1))
    days, keep = st.integers(0, DAYS - 1), st.integers(1, 3)
    put = st.tuples(st.just("put"), days, token, keep)
    drop = st.tuples(st.just("drop"), days, token)
    trim = st.tuples(st.just("trim"), keep)
    return st.lists(st.one_of(put, put, put, drop, trim), max_size=12)


@dataclass
class Model:
    """What a store must be: day to (run, token), and the newest (run, token) that each day ever had."""

    loaded: dict[int, tuple[str, int]] = field(default_factory=dict)
    fences: dict[int, tuple[str, int]] = field(default_factory=dict)

    def apply(self, step: Step) -> Any:
        """Do a step; return what the store must answer."""
        return getattr(self, step[0])(*step[1:])

    def put(self, at: int, made: tuple[str, int], keep: int) -> str:
        if self._is_old(at, made):
            return "refused"
        if sum(other > at for other in self.loaded) >= keep:
            return "not kept"
        same = at in self.loaded and self.loaded[at][0] == made[0]
        if same and made[1] <= self.loaded[at][1]:
            return "unchanged"
        self.loaded[at] = made
        self._fence(at, made)
        if not same:
            self.trim(keep)
        return "unchanged" if same else "loaded"

    def drop(self, at: int, made: tuple[str, int]) -> bool:
        if self._is_old(at, made):
            return False
        self._fence(at, made)
        return self.loaded.pop(at, None) is not None

    def trim(self, keep: int) -> int:
        over = sorted(self.loaded, reverse=True)[keep:]
        for at in over:
            del self.loaded[at]
        return len(over)

    def _is_old(self, at: int, made: tuple[str, int]) -> bool:
        return at in self.fences and self.fences[at][1] > made[1] and self.fences[at][0] != made[0]

    def _fence(self, at: int, made: tuple[str, int]) -> None:
        if at not in self.fences or self.fences[at][1] <= made[1]:
            self.fences[at] = made


def rows_of(at: int, run: str) -> Any:
    """Rows of a run: it has the ids from its own place in `RUNS` on."""
    return run_rows(run, rows=ROWS, first=RUNS.index(run), score=float(at))


def apply(store: OnlineStore, table: str, step: Step) -> Any:
    """Do a step; return what the store answers."""
    kind = step[0]
    if kind == "trim":
        return store.trim(table, step[1])
    at, (run, token) = step[1], step[2]
    if kind == "drop":
        return store.drop_partition(table, day(at), fence(run, token))
    try:
        return store.put_partition(
            load(run, token, table=table, partition=day(at), rows=rows_of(at, run), keep_days=step[3])
        )
    except NewerOnline:
        return "refused"


async def check_sequence(store: OnlineStore, reader: OnlineReader, table: str, sequence: list[Step]) -> None:
    """Do the steps to store and model; after each, a reader finds what the model says."""
    model = Model()
    for step in sequence:
        assert apply(store, table, step) == model.apply(step), step
        there = {one.partition: one for one in store.loaded(table)}
        assert list(there) == sorted(there, reverse=True)
        assert {d: (one.run_key, one.token) for d, one in there.items()} == {day(a): r for a, r in model.loaded.items()}
        for as_of in (None, *range(DAYS)):
            await _check_reader(reader, table, model, as_of)


async def _check_reader(reader: OnlineReader, table: str, model: Model, as_of: int | None) -> None:
    ids = list(range(ROWS + len(RUNS)))
    asked = LookupRequest(table, {"id": ids}, as_of=None if as_of is None else day(as_of))
    found = await reader.lookup(asked, timeout_s=5)
    for row, number in enumerate(ids):
        fit = [
            (at, run)
            for at, (run, _) in sorted(model.loaded.items(), reverse=True)
            if (as_of is None or at <= as_of) and RUNS.index(run) <= number < RUNS.index(run) + ROWS
        ]
        assert _seen(found, row) == ((day(fit[0][0]), fit[0][1], _risk(*fit[0], number)) if fit else None)


def _risk(at: int, run: str, number: int) -> float:
    return at + (number - RUNS.index(run)) / 8


def _seen(found: Lookup, row: int) -> tuple[dt.date, str, float] | None:
    one = found.provenance[row]
    assert (found.states[row] == "found") == (one is not None)
    return None if one is None else (one.as_of, one.run_key, found.predictions.column("risk")[row].as_py())


def look(reader: OnlineReader, request: LookupRequest) -> Lookup:
    """Look up once, in an event loop of its own; the reader is closed."""

    async def once() -> Lookup:
        try:
            return await reader.lookup(request, timeout_s=5)
        finally:
            await reader.aclose()

    return asyncio.run(once())
