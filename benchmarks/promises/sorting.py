"""What comes back under more load than a server can bear: answers, refusals as they should be, and failures."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.serving.loop import Pool, Tally
from benchmarks.serving.wire import Answer, Connection

OK = 200
REFUSED = (429, 503)
RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*[0-9]+\r\n", re.IGNORECASE)


@dataclass
class SortedTally(Tally):
    """Also refusals.

    Attributes:
        refused_s: Status -> seconds from the intended time to each refusal that says when to come back.
    """

    refused_s: dict[str, list[float]] = field(default_factory=dict)

    def refuse(self, status: str, seconds: float) -> None:
        """Note a refusal."""
        self.refused_s.setdefault(status, []).append(seconds)


class SameAnswer:
    """Takes the first answer to a request for right, and every further one that has the same bytes."""

    def __init__(self, requests: int) -> None:
        self._seen: list[bytes | None] = [None] * requests

    def is_same(self, row: int, body: bytes) -> bool:
        """Whether a body is that of the first answer to a request."""
        if self._seen[row] is None:
            self._seen[row] = body
        return self._seen[row] == body

    def is_right(self, row: int, answer: Answer) -> bool:
        """Say the same of a response of HTTP."""
        return self.is_same(row, answer.body)


class SortingPool(Pool):
    """Connections that tell refusals from failures."""

    tally: SortedTally

    def __init__(self, address: tuple[str, int], requests: Sequence[bytes], *, size: int) -> None:
        self._same = SameAnswer(len(requests))
        super().__init__(address, requests, self._same, size=size)  # type: ignore[arg-type] - asked for `is_right` alone
        self.tally = SortedTally()

    def forget(self) -> None:
        """Begin to count anew."""
        self.tally = SortedTally()

    def _note(self, connection: Connection, answer: Answer, now: float) -> None:
        took = now - connection.since
        if answer.status == OK:
            if self._same.is_right(connection.row, answer):
                self.tally.latencies_s.append(took)
            else:
                self.tally.fail("another answer to the same request")
        elif answer.status in REFUSED and RETRY_AFTER.search(answer.head):
            self.tally.refuse(str(answer.status), took)
        else:
            self.tally.fail(f"status {answer.status}")
