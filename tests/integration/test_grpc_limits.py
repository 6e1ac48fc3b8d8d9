"""The gRPC edge when there is too much: of a message, of time, of calls, of garbage; and when it ends."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from grpc_endpoints import Child, child, failed, rest, rows, sleep_request, toy_request


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with child(tmp_path_factory.mktemp("grpc")) as found:
        yield found


@pytest.fixture
def stub(running: Child) -> Iterator[Any]:
    with grpc.insecure_channel(running.target) as channel:
        yield running.stub(channel)


def test_a_message_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    with child(tmp_path, "--body-bytes", "100000") as small, grpc.insecure_channel(small.target) as channel:
        stub = small.stub(channel)
        error = failed(stub.ModelInfer, toy_request(rows(20_000)))
        assert error.code() is StatusCode.RESOURCE_EXHAUSTED
        assert stub.ModelInfer(toy_request()).model_name == "toy"


def test_nothing_is_decompressed(running: Child) -> None:
    """A message of 300 MiB of zeros, compressed to 300 KiB, is refused and takes no memory."""
    before = running.resident_mib
    options = (("grpc.max_send_message_length", -1),)
    with grpc.insecure_channel(running.target, options, compression=grpc.Compression.Gzip) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        error = failed(call, bytes(300 * 2**20))
        assert error.code() is StatusCode.UNIMPLEMENTED
    assert running.resident_mib - before < 100


def test_a_deadline_is_kept_and_work_after_it_is_not_done(running: Child, stub: Any) -> None:
    stub.ModelInfer(sleep_request(0.0))
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(stub.ModelInfer, sleep_request(1.0))
        time.sleep(0.2)
        began = time.monotonic()
        late = [pool.submit(failed, stub.ModelInfer, sleep_request(5.0), timeout=0.3) for _ in range(2)]
        assert [error.result().code() for error in late] == [StatusCode.DEADLINE_EXCEEDED] * 2
        assert time.monotonic() - began < 0.9
        done = first.result().outputs[0].contents.fp64_contents[0]
        again = stub.ModelInfer(sleep_request(0.0), timeout=3).outputs[0].contents.fp64_contents[0]
    assert again == done + 1  # the two in between never ran


def test_a_cancelled_call_is_dropped(running: Child, stub: Any) -> None:
    first = stub.ModelInfer.future(sleep_request(1.0))
    time.sleep(0.2)
    second = stub.ModelInfer.future(sleep_request(20.0))
    time.sleep(0.2)
    second.cancel()
    done = first.result(5).outputs[0].contents.fp64_contents[0]
    again = stub.ModelInfer(sleep_request(0.0), timeout=5).outputs[0].contents.fp64_contents[0]
    assert again == done + 1
    _, text = rest(running, "/metrics")
    assert "lockstep_requests_in_progress 1.0" in text  # this very one


def test_too_many_at_once_are_told_to_come_back(tmp_path: Path) -> None:
    apart = (("grpc.use_local_subchannel_pool", 1),)
    with (
        child(tmp_path, "--in-progress", "2") as busy,
        grpc.insecure_channel(busy.target) as channel,
        grpc.insecure_channel(busy.target, apart) as other,
    ):
        stub = busy.stub(channel)
        running = [stub.ModelInfer.future(sleep_request(1.0)) for _ in range(2)]
        time.sleep(0.3)
        error = failed(busy.stub(other).ModelInfer, toy_request())
        assert error.code() is StatusCode.RESOURCE_EXHAUSTED
        assert "2 requests are in progress already" in error.details()
        assert ("grpc-retry-pushback-ms", "1000") in tuple(error.trailing_metadata())
        long = failed(busy.stub(other).ModelInfer, toy_request(rows(20_000)))  # refused while it is being sent
        assert long.code() is StatusCode.RESOURCE_EXHAUSTED
        assert [call.result(10).model_name for call in running] == ["sleep"] * 2


def test_a_stop_lets_calls_in_progress_end_and_takes_no_others(tmp_path: Path) -> None:
    with child(tmp_path) as stopping, grpc.insecure_channel(stopping.target) as channel:
        stub = stopping.stub(channel)
        running = stub.ModelInfer.future(sleep_request(1.5))
        time.sleep(0.3)
        stopping.process.terminate()
        time.sleep(0.3)
        assert failed(stub.ModelInfer, toy_request(), timeout=3).code() is StatusCode.UNAVAILABLE
        assert running.result(10).model_name == "sleep"
        assert stopping.process.wait(20) == 0
        assert "Traceback" not in stopping.log.read_text()


def test_garbage_on_the_port_hurts_nobody(running: Child, stub: Any) -> None:
    stopped = threading.Event()
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    garbage = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 1000,
        preface + b"\xff" * 500,
        preface + b"\0\0\0\4\0\0\0\0\0" + b"\1" * 99,
    ]

    def throw() -> None:
        while not stopped.is_set():
            for data in garbage:
                with socket.create_connection(("127.0.0.1", running.grpc), timeout=5) as sock:
                    sock.sendall(data)

    thread = threading.Thread(target=throw)
    thread.start()
    try:
        for _ in range(50):
            assert stub.ModelInfer(toy_request()).model_name == "toy"
    finally:
        stopped.set()
        thread.join()
    assert running.process.poll() is None
