"""A running `grpc_child.py`, and calls to it."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.codec import CONTENTS
from lockstep.serving.grpc.open_inference_pb2_grpc import GRPCInferenceServiceStub
from lockstep.serving.tensors import DATATYPES
from tests.unit.serving.tensor_requests import Sent
from tests.unit.serving.toy import INPUTS, ROW

ROOT = Path(__file__).parents[2]
START_S = 60.0


@dataclass
class Child:
    """A running child."""

    process: "subprocess.Popen[str]"
    grpc: int
    http: int
    log: Path

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.grpc}"

    @property
    def resident_mib(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def stub(self, channel: grpc.Channel) -> Any:
        return GRPCInferenceServiceStub(channel)


@contextlib.contextmanager
def child(folder: Path, *args: str) -> Iterator[Child]:
    """Run the child until the block ends."""
    log = folder / f"grpc-{time.monotonic_ns()}.log"
    command = [sys.executable, str(Path(__file__).with_name("grpc_child.py")), *args]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, cwd=ROOT)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, log.read_text()
        yield Child(process, log=log, **json.loads(line))
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        process.stdout.close()
        process.wait()


def toy_request(rows: list[dict[str, Any]] | None = None, *, raw: bool = True, **fields: Any) -> pb.ModelInferRequest:
    """A request to the toy model."""
    given = [ROW] if rows is None else rows
    sent = []
    for column in INPUTS:
        values = [row[column.name] for row in given]
        if all(value is not None for value in values):
            sent.append(Sent(column, DATATYPES[column.dtype][0], len(given), values))
    return infer_request("toy", sent, raw=raw, **fields)


def infer_request(name: str, sent: list[Sent], *, raw: bool = True, **fields: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(**{"model_name": name, **fields})
    for tensor in sent:
        added = request.inputs.add(name=tensor.column.name, datatype=tensor.datatype, shape=tensor.shape)
        if raw:
            request.raw_input_contents.append(tensor.raw)
        else:
            values = [value.encode() if isinstance(value, str) else value for value in tensor.values]
            getattr(added.contents, CONTENTS[tensor.datatype]).extend(values)
    return request


def sleep_request(seconds: float) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="sleep")
    tensor = request.inputs.add(name="seconds", datatype="FP64", shape=[1])
    tensor.contents.fp64_contents.append(seconds)
    return request


def rest(running: Child, path: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", running.http, timeout=30)
    headers = {"Content-Type": "application/json"}
    connection.request("GET" if body is None else "POST", path, body and json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text.startswith((b"{", b"[")) else text.decode()


def failed(call: Any, request: Any, **options: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=options.pop("timeout", 30), **options)
    return caught.value


def rows(count: int) -> list[dict[str, Any]]:
    """Rows that differ, some with missing numbers."""
    numbers = np.random.default_rng(7)
    missing = float("nan")
    return [
        {**ROW, "carrier": f"A{row % 7}", "distance": missing if row % 11 == 5 else float(numbers.normal(900, 300)),
         "seats": int(numbers.integers(400)), "flight": int(numbers.integers(2**40)), "wet": bool(row % 2)}
        for row in range(count)
    ]  # fmt: skip
