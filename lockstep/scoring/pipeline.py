"""Stages that overlap: reading ahead, scoring in several channels, writing behind.

Every hand-over is bounded, so that memory does not grow with the input, and the first error of a stage ends all. With a
depth of 0 a stage has no thread and does its work when it is asked to.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
POLL_S = 0.1
# Threads that feed one GPU: one encodes or decodes while the others' batches are computed.
GPU_CHANNELS = 3


class _End:
    """Follows the last item; carries the error that ended the source, if one did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Iterable[ItemT], *, depth: int) -> Iterator[ItemT]:
    """Iterate in a thread of its own, at most `depth` items ahead of the consumer.

    An error of the source is raised where the item would have come. When the consumer stops early the thread ends.
    """
    return _in_thread(items, depth=depth) if depth else iter(items)


def _in_thread(items: Iterable[ItemT], *, depth: int) -> Iterator[ItemT]:
    waiting: queue.Queue[ItemT | _End] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(item: ItemT | _End) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(_End())
        except BaseException as error:  # noqa: BLE001 - raised again by the consumer
            put(_End(error))

    thread = threading.Thread(target=work, name="read-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        thread.join()


def in_channels(
    function: Callable[[ItemT], ResultT], items: Iterable[ItemT], *, channels: int
) -> Iterator[tuple[ItemT, ResultT]]:
    """Apply a function to items in several threads and give items and results back in order.

    With one channel everything happens in the calling thread. With more, the processor works on one item (encode,
    decode) while the GPU works on another; at most `channels + 1` items are in memory.
    """
    if channels == 1:
        for item in items:
            yield item, function(item)
        return
    with ThreadPoolExecutor(max_workers=channels, thread_name_prefix="channel") as pool:
        running: deque[tuple[ItemT, Future[ResultT]]] = deque()
        try:
            for item in items:
                running.append((item, pool.submit(function, item)))
                if len(running) > channels:
                    done, future = running.popleft()
                    yield done, future.result()
            while running:
                done, future = running.popleft()
                yield done, future.result()
        finally:
            for _, future in running:
                future.cancel()


class Behind(Generic[ItemT]):
    """Runs a function on items in a thread, in order; a context manager that waits for the last one."""

    def __init__(self, function: Callable[[ItemT], None], *, depth: int) -> None:
        self._function = function
        self._in_thread = depth > 0
        self._waiting: queue.Queue[ItemT | _End] = queue.Queue(maxsize=depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="write-behind", daemon=True)

    def put(self, item: ItemT) -> None:
        """Hand over an item; raises the error of an earlier one."""
        if not self._in_thread:
            self._function(item)
            return
        self._raise()
        self._waiting.put(item)

    def __enter__(self) -> "Behind[ItemT]":
        if self._in_thread:
            self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if not self._in_thread:
            return
        self._waiting.put(_End())
        self._thread.join()
        if kind is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while not isinstance(item := self._waiting.get(), _End):
            if self._error is not None:
                continue  # drain, so that nobody waits for a place
            try:
                self._function(item)
            except BaseException as error:  # noqa: BLE001 - raised by put or at the end
                self._error = error
