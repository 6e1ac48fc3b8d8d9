"""Where the time of a unit went."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

ItemT = TypeVar("ItemT")


class Stages:
    """Seconds per stage. Stages of different threads overlap, so their sum may exceed the time that passed."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the body to a stage."""
        clock = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - clock

    def each(self, name: str, items: Iterable[ItemT]) -> Iterator[ItemT]:
        """Iterate, adding the time that each item took to come to a stage."""
        iterator = iter(items)
        while True:
            with self.stage(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def timed(self, name: str, function: Callable[[ItemT], None]) -> Callable[[ItemT], None]:
        """Return a function whose time is added to a stage."""

        def run(item: ItemT) -> None:
            with self.stage(name):
                function(item)

        return run

    def rounded(self) -> dict[str, float]:
        """Return seconds per stage, in the order in which they first ended."""
        return {name: round(seconds, 4) for name, seconds in self._seconds.items()}
