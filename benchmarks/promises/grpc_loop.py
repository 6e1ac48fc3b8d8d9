"""The two kinds of load over gRPC: as `benchmarks.serving.loop`, with messages that are serialised before."""

import asyncio
import random
import time
from collections.abc import Sequence

import grpc
import grpc.aio

from benchmarks.promises.sorting import SameAnswer, SortedTally

METHOD = "/inference.GRPCInferenceService/ModelInfer"
CHANNELS = 4
TIMEOUT_S = 20.0
REFUSED = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
clock = time.perf_counter


class GrpcLoad:
    """Calls of one method over a few channels.

    Attributes:
        number: Of the next request.
        tally: What came back.
    """

    def __init__(self, target: str, requests: Sequence[bytes]) -> None:
        self._requests = requests
        self._same = SameAnswer(len(requests))
        own = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [grpc.aio.insecure_channel(target, options=own) for _ in range(CHANNELS)]
        self._calls = [channel.unary_unary(METHOD) for channel in self._channels]  # bytes in, bytes out
        self.number = 0
        self.tally = SortedTally()

    async def ask(self, since: float) -> None:
        """Send the next request; its latency counts from `since`."""
        number = self.number
        self.number += 1
        row = number % len(self._requests)
        tally = self.tally
        try:
            answer = await self._calls[number % CHANNELS](self._requests[row], timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            if error.code() in REFUSED:
                tally.refuse(error.code().name, clock() - since)
            else:
                tally.fail(f"status {error.code().name}")
            return
        if self._same.is_same(row, answer):
            tally.latencies_s.append(clock() - since)
        else:
            tally.fail("another answer to the same request")

    async def go_away(self) -> None:
        """Send the next request and cancel the call."""
        number = self.number
        self.number += 1
        call = self._calls[number % CHANNELS](self._requests[number % len(self._requests)], timeout=TIMEOUT_S)
        await asyncio.sleep(0)
        call.cancel()

    async def closed(self, *, clients: int, warm_s: float, seconds: float) -> SortedTally:
        """Let so many clients ask again as soon as they have their answer."""
        for span_s in (warm_s, seconds):
            self.tally, began = SortedTally(), clock()
            await asyncio.gather(*(self._again(began + span_s) for _ in range(clients)))
            self.tally.seconds = clock() - began
        return self.tally

    async def _again(self, end: float) -> None:
        while clock() < end:
            await self.ask(clock())

    async def open(self, *, rate: float, seconds: float, seed: int) -> SortedTally:
        """Call at the times of a Poisson process, whether or not earlier answers have come."""
        self.tally, began, rng, tasks = SortedTally(), clock(), random.Random(seed), set()
        at = rng.expovariate(rate)
        while at < seconds:
            if (wait := began + at - clock()) > 0:
                await asyncio.sleep(wait)
            self.tally.lags_s.append(clock() - began - at)
            tasks.add(task := asyncio.ensure_future(self.ask(began + at)))
            task.add_done_callback(tasks.discard)
            at += rng.expovariate(rate)
        if tasks:
            await asyncio.wait(tasks)
        self.tally.seconds = max(seconds, clock() - began)
        return self.tally

    async def close(self) -> None:
        """Close all channels."""
        for channel in self._channels:
            await channel.close()
