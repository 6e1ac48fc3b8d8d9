"""Bounds of one model's lane."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LaneLimits:
    """Bounds of one model's lane.

    Attributes:
        slo_s: A request is refused when it would be answered later than this after it came.
        batch_rows, batch_bytes: Most rows and bytes of a micro-batch; a larger request runs in slices.
        waiting_requests, waiting_bytes: What may wait; further requests are told to come back.
        inline_s: Batches that take no longer run on the event loop.
        cores: On which long micro-batches run at a time, if the model may be called by several threads.
        beside_s: While a micro-batch runs that takes no longer, no other begins: threads would be in each other's way.
        slice_s: What a micro-batch may take, if it has more than a block of rows: the longest that a request waits for
            another that came before it and is less urgent.
    """

    slo_s: float = 1.0
    batch_rows: int = 65_536
    batch_bytes: int = 64 * 2**20
    waiting_requests: int = 1024
    waiting_bytes: int = 256 * 2**20
    inline_s: float = 0.001
    cores: int = 1
    beside_s: float = 0.005
    slice_s: float = 0.025
