"""Spans leave in the background; what there is no room for, or nobody takes, is counted."""

import threading
from collections.abc import Sequence

import pytest

from lockstep.serving.tracing.export import SpanWriter


def doubled(request: int) -> list[int]:
    return [request, request]


class Receiver:
    """Takes spans, refuses them, breaks, or does not answer until it is told to."""

    def __init__(self, *, fails: str = "") -> None:
        self.sent: list[list[int]] = []
        self.arrived, self.go_on = threading.Event(), threading.Event()
        self.fails = fails

    def send(self, spans: Sequence[int]) -> bool:
        self.sent.append(list(spans))
        self.arrived.set()
        if self.fails == "hangs":
            assert self.go_on.wait(30)
        if self.fails == "breaks":
            raise OSError("secret 4711")
        return not self.fails


def writer(receiver: Receiver, *, waiting: int = 8, batch: int = 4, every_s: float = 60.0) -> SpanWriter[int, int]:
    return SpanWriter(doubled, receiver.send, waiting=waiting, batch=batch, every_s=every_s, end=receiver.go_on.set)


def test_a_full_batch_leaves_at_once_and_the_rest_at_the_end() -> None:
    receiver = Receiver()
    spans = writer(receiver)
    spans.start()
    for number in range(4):
        spans.put(number)
    assert receiver.arrived.wait(30)
    spans.put(4)
    spans.close(timeout_s=30)
    assert receiver.sent == [[0, 0, 1, 1, 2, 2, 3, 3], [4, 4]]
    assert spans.dropped == 0
    spans.put(5)
    assert spans.dropped == 1


def test_a_few_leave_after_a_while() -> None:
    receiver = Receiver()
    spans = writer(receiver, every_s=0.01)
    spans.start()
    spans.put(1)
    assert receiver.arrived.wait(30)
    spans.close(timeout_s=30)
    assert receiver.sent == [[1, 1]]


def test_a_receiver_that_hangs_keeps_nobody_waiting() -> None:
    receiver = Receiver(fails="hangs")
    spans = writer(receiver)
    spans.start()
    for number in range(4):
        spans.put(number)
    assert receiver.arrived.wait(30)
    for number in range(100):
        spans.put(number)
    assert spans.dropped == 92
    spans.close(timeout_s=0.01)
    spans._thread.join(30)
    assert spans.dropped == 104, "what was not taken is lost too"


@pytest.mark.parametrize("fails", ["refuses", "breaks"])
def test_spans_that_nobody_takes_are_counted(fails: str, caplog: pytest.LogCaptureFixture) -> None:
    spans = writer(Receiver(fails=fails))
    spans.start()
    spans.put(1)
    spans.put(2)
    spans.close(timeout_s=30)
    assert spans.dropped == 2
    assert "spans of 2 requests were not sent" in caplog.text
