"""Fuzz what clients may send as bytes: binary tensors, gRPC messages, Parquet bodies.

Coverage-guided by atheris, which has an environment of its own kind: install it beside the data environment and run

    .venv/data/bin/python -m pip install --target var/fuzz -r requirements/fuzz.lock
    PYTHONPATH=.:var/fuzz .venv/data/bin/python tests/fuzz/frames.py binary -max_total_time=300

for each of `binary`, `grpc`, `parquet`, of `tensors`, which builds well-formed frames around tensors that are not and
sends them both ways, and of `damaged`, which changes a few bytes of valid Parquet files. Whatever comes must be refused
as a `RequestInvalid` or become a valid batch of the schema; anything else ends the run and leaves the input in a
file. Memory is printed now and then. The inputs that reached something new are kept in var/fuzz-corpus/, from where the
next run goes on.
"""

import itertools
import json
import math
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["lockstep.serving"]):
    from lockstep.errors import RequestInvalid
    from lockstep.serving.grpc.codec import decode_infer
    from lockstep.serving.grpc.wire import asked_model, parse_infer
    from lockstep.serving.infer_binary import decode_binary
    from lockstep.serving.parquet_body import decode_parquet
    from lockstep.serving.rows import Rows, to_batch

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature, arrow_type
from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.codec import CONTENTS
from lockstep.serving.tensors import DATATYPES
from tests.unit.serving.tensor_requests import ALL_TYPES, FORMATS, Sent, binary_request, same_rows
from tests.unit.serving.toy import ROW

CORPUS = Path("var/fuzz-corpus")
NUMBER = Signature((Column(name="x", dtype="double"),), ())
TEXT = Signature((Column(name="t", dtype="string"),), ())
SIGNATURES = (ALL_TYPES, NUMBER, TEXT)
TOLD_EVERY = 100_000
PARQUET_BYTES = 2**20
SIZES = {**{datatype: struct.calcsize(kind) for datatype, kind in FORMATS.items()}, "BF16": 2}


def binary(data: bytes) -> None:
    """Two bytes of header length, one that picks the model, the body."""
    signature = SIGNATURES[data[2] % len(SIGNATURES)]
    accept(decode_binary(data[3:], int.from_bytes(data[:2], "little"), signature).rows, signature)


def grpc(data: bytes) -> None:
    """One byte that picks the model, the message."""
    signature = SIGNATURES[data[0] % len(SIGNATURES)]
    try:
        asked_model(data[1:])
    except RequestInvalid:
        pass
    accept(decode_infer(parse_infer(data[1:]), signature).request.rows, signature)


def parquet(data: bytes) -> None:
    """One byte that picks the model, the file."""
    signature = SIGNATURES[data[0] % len(SIGNATURES)]
    accept(decode_parquet(data[1:], signature, most_bytes=PARQUET_BYTES), signature)


def damaged(data: bytes) -> None:
    """A valid Parquet file of some columns with a few bytes changed, which gets further than one that is made up."""
    chosen = atheris.FuzzedDataProvider(data)
    signature, file = VALID[chosen.ConsumeIntInRange(0, len(VALID) - 1)]
    body = bytearray(file)
    while chosen.remaining_bytes() > 3:
        body[chosen.ConsumeIntInRange(0, len(body) - 1)] = chosen.ConsumeIntInRange(0, 255)
    accept(decode_parquet(bytes(body), signature, most_bytes=PARQUET_BYTES), signature)


def tensors(data: bytes) -> None:
    """The same made-up tensors as a binary body and as a gRPC message: both are refused, or both are the same rows."""
    chosen = atheris.FuzzedDataProvider(data)
    signature = SIGNATURES[chosen.ConsumeIntInRange(0, len(SIGNATURES) - 1)]
    heads, raws = [], []
    for column in signature.inputs[: chosen.ConsumeIntInRange(0, len(signature.inputs))]:
        datatype = chosen.PickValueInList([*DATATYPES[column.dtype], "FP64", "BYTES", ""])
        shape = [chosen.ConsumeIntInRange(0, 70), *(column.shape or ())]
        if chosen.ConsumeBool():
            shape[chosen.ConsumeIntInRange(0, len(shape) - 1)] = chosen.ConsumeInt(8)
        fitting = math.prod(shape) * SIZES.get(datatype, 5)
        size = fitting if 0 <= fitting < 2000 and chosen.ConsumeBool() else chosen.ConsumeIntInRange(0, 2000)
        raws.append(chosen.ConsumeBytes(size).ljust(size if chosen.ConsumeBool() else 0, b"\0"))
        heads.append({"name": column.name, "datatype": datatype, "shape": shape})
    found = [rows_or_refused(read, heads, raws, signature) for read in (as_binary, as_grpc)]
    assert (found[0] is None) == (found[1] is None), "one way is refused and the other is not"
    if found[0] is not None and found[1] is not None:
        for rows in found:
            accept(rows, signature)
        assert same_rows(found[0], found[1], signature)


def rows_or_refused(
    read: Callable[[list[dict[str, Any]], list[bytes], Signature], Rows],
    heads: list[dict[str, Any]],
    raws: list[bytes],
    signature: Signature,
) -> Rows | None:
    try:
        return read(heads, raws, signature)
    except RequestInvalid as error:
        str(error).encode()
        return None


def as_binary(heads: list[dict[str, Any]], raws: list[bytes], signature: Signature) -> Rows:
    pairs = zip(heads, raws, strict=True)
    inputs = [{**head, "parameters": {"binary_data_size": len(raw)}} for head, raw in pairs]
    head = json.dumps({"inputs": inputs}).encode()
    return decode_binary(head + b"".join(raws), len(head), signature).rows


def as_grpc(heads: list[dict[str, Any]], raws: list[bytes], signature: Signature) -> Rows:
    request = pb.ModelInferRequest(inputs=heads, raw_input_contents=raws)
    return decode_infer(parse_infer(request.SerializeToString()), signature).request.rows


def accept(rows: Rows, signature: Signature) -> None:
    """What was not refused is a valid batch."""
    batch = to_batch([rows], signature)
    assert batch.schema.equals(signature.schema)
    batch.validate(full=True)


def sent(signature: Signature, rows: int) -> list[Sent]:
    found = []
    for column in signature.inputs:
        datatype = DATATYPES[column.dtype][0]
        value = ROW.get(column.name) or {"BYTES": "a", "BOOL": True}.get(datatype, 1)
        found.append(Sent(column, datatype, rows, [value] * rows * math.prod(column.shape or ())))
    return found


def seeds(target: str) -> Iterator[bytes]:
    if target in {"tensors", "damaged"}:
        yield from (bytes(range(256)) * 8, bytes(2000), b"\xff" * 2000)
        return
    for (number, signature), rows in itertools.product(enumerate(SIGNATURES), (0, 1, 2, 65)):
        given, model = sent(signature, rows), bytes([number])
        if target == "binary":
            body, length = binary_request(given, id="a", outputs=[], parameters={"binary_data_output": True})
            yield length.to_bytes(2, "little") + model + body
            mixed, length = binary_request(given, [place % 2 == 0 for place in range(len(given))])
            yield length.to_bytes(2, "little") + model + mixed
        elif target == "grpc":
            yield from (model + message(given, raw=raw).SerializeToString() for raw in (True, False))
        else:
            yield from (model + body for body in files(signature, rows))


def message(given: list[Sent], *, raw: bool) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="toy", model_version="3", id="a")
    for tensor in given:
        added = request.inputs.add(name=tensor.column.name, datatype=tensor.datatype, shape=tensor.shape)
        if raw:
            request.raw_input_contents.append(tensor.raw)
        elif tensor.datatype in CONTENTS:
            values = [value.encode() if isinstance(value, str) else value for value in tensor.values]
            getattr(added.contents, CONTENTS[tensor.datatype]).extend(values)
    return request


def files(signature: Signature, rows: int) -> Iterator[bytes]:
    """Files of two columns and without a schema of Arrow's own: what is short is changed where it matters."""
    yield from written({column.name: pa.nulls(rows, arrow_type(column)) for column in signature.inputs[:2]})


def written(columns: dict[str, pa.Array]) -> Iterator[bytes]:
    for options in ({}, {"compression": "zstd", "use_dictionary": False}, {"data_page_version": "2.0"}):
        out = pa.BufferOutputStream()
        pq.write_table(pa.table(columns), out, store_schema=False, **options)
        yield out.getvalue().to_pybytes()


def valid_files() -> Iterator[tuple[Signature, bytes]]:
    """Files of one column each, with values and nulls."""
    for column in ALL_TYPES.inputs:
        signature = Signature((column,), ())
        for rows in (1, 5, 300):
            (tensor,) = sent(signature, rows)
            kind = arrow_type(column)
            if column.shape is not None:
                elements = pa.array(tensor.values).cast(kind.value_type)
                array = pa.FixedSizeListArray.from_arrays(elements, kind.list_size)
            else:
                values = range(rows) if column.dtype == "datetime" else tensor.values
                array = pa.concat_arrays([pa.array(values, kind), pa.nulls(1, kind)])
            yield from ((signature, body) for body in written({column.name: array}))


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def counted(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Return the target with everything that it may refuse caught, and its progress told."""
    began, done, refused = time.monotonic(), 0, 0

    def run(data: bytes) -> None:
        nonlocal done, refused
        done += 1
        if len(data) >= 3:
            try:
                target(data)
            except RequestInvalid as error:
                str(error).encode()
                refused += 1
        if done % TOLD_EVERY == 0:
            print(
                f"{done} runs, {refused} refused, {time.monotonic() - began:.0f} s, {resident_mib():.0f} MiB",
                flush=True,
            )

    return run


VALID = list(valid_files())


def main() -> None:
    target = sys.argv[1]
    corpus = CORPUS / target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    targets = {"binary": binary, "grpc": grpc, "parquet": parquet, "tensors": tensors, "damaged": damaged}
    arguments = [sys.argv[0], str(corpus), "-max_len=4096", "-timeout=10", "-print_final_stats=1", *sys.argv[2:]]
    atheris.Setup(arguments, counted(targets[target]))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
