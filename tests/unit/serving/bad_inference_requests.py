"""Bad requests of the Open Inference Protocol: JSON, binary tensors and the model repository."""

import struct
from collections.abc import Iterator
from typing import Any

from tests.unit.serving.bad_requests import BODY_BYTES, CSV, NUMBER, PRIVATE, SECRET, Bad, dumped
from tests.unit.serving.toy import SIGNATURE

INFER, REPOSITORY = "/v2/models/toy/infer", "/v2/repository/models/toy"
HEADER = "Inference-Header-Content-Length"
OCTETS = "application/octet-stream"
KINDS = dict(zip(SIGNATURE.names, ("BYTES", "FP64", "FP32", "INT32", "INT64", "BOOL", "BYTES", "BYTES"), strict=True))


def tensors(rows: int = 1, **changes: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, datatype in KINDS.items():
        tensor = {"name": name, "datatype": datatype, "shape": [rows], "data": [PRIVATE[name]] * rows}
        changed = {**tensor, **changes.get(name, {})}
        found.append({key: value for key, value in changed.items() if value is not ...})
    return found


TENSORS: dict[str, tuple[str, dict[str, Any], str]] = {
    "no datatype": ("distance", {"datatype": ...}, "expected FP64 or"),
    "a datatype that does not fit": ("distance", {"datatype": "BYTES"}, "expected FP64 or"),
    "a datatype that is none": ("distance", {"datatype": SECRET}, "expected FP64 or"),
    "a wider datatype": ("seats", {"datatype": "INT64"}, "expected INT32 or"),
    "no shape": ("distance", {"shape": ...}, "shape must be [rows] or [rows, 1]"),
    "a negative shape": ("distance", {"shape": [-1]}, "shape must be"),
    "a shape of fractions": ("distance", {"shape": [1.0]}, "shape must be"),
    "a shape of one number": ("distance", {"shape": NUMBER}, "shape must be"),
    "a shape of three axes": ("distance", {"shape": [1, 1, 1]}, "shape must be"),
    "a huge shape": ("distance", {"shape": [2**62]}, f"declares {2**62} values, the data holds 1"),
    "no data": ("distance", {"data": ...}, "data must be an array, got null"),
    "data is text": ("distance", {"data": SECRET}, "data must be an array, got a string"),
    "ragged data": ("distance", {"shape": [2], "data": [[1.5], [NUMBER, 2.5]]}, "flat, or nested as the shape says"),
    "too much data": ("distance", {"data": [NUMBER, NUMBER]}, "declares 1 values, the data holds 2"),
    "text in numbers": ("distance", {"data": [SECRET]}, "field 'distance', row 0: expected a number"),
    "beyond INT8": ("distance", {"datatype": "INT8", "data": [NUMBER]}, "expected INT8 or null, got a number out of"),
    "below UINT64": ("distance", {"datatype": "UINT64", "data": [-NUMBER]}, "expected UINT64 or null"),
    "a fraction as INT64": ("distance", {"datatype": "INT64", "data": [NUMBER + 0.5]}, "a number with a fraction"),
    "beyond FP16": ("distance", {"datatype": "FP16", "data": [NUMBER]}, "expected FP16 or null, got a number out of"),
    "beyond FP32": ("distance", {"datatype": "FP32", "data": [1e39]}, "expected FP32 or null, got a number out of"),
    "beyond BF16": ("distance", {"datatype": "BF16", "data": [3.4e38]}, "expected BF16 or null, got a number out of"),
    "null for BOOL": ("wet", {"data": [None]}, "column wet is null"),
    "parameters are text": ("wet", {"parameters": SECRET}, "must be an object, got a string"),
    "binary without its header": ("wet", {"parameters": {"binary_data_size": 1}}, f"needs the header {HEADER}"),
    "another number of rows": ("wet", {"shape": [2], "data": [True, False]}, "differ in length"),
}


def inference_requests() -> Iterator[Bad]:
    for name, (tensor, change, told) in TENSORS.items():
        yield Bad(f"V2: {name}", dumped({"inputs": tensors(**{tensor: change})}), told, path=INFER)
    good = tensors()
    wholes: dict[str, tuple[Any, str]] = {
        "no JSON": (None, "not valid JSON"),
        "an array": (good, "must be a JSON object, got an array"),
        "no inputs": ({"input": good}, "inputs must be an array of tensors, got null"),
        "inputs are an object": ({"inputs": good[0]}, "inputs must be an array of tensors, got an object"),
        "an input is text": ({"inputs": [SECRET]}, "inputs[0] must be an object with name"),
        "an input without a name": (
            {"inputs": tensors(carrier={"name": ...})},
            "inputs[0] must be an object with name",
        ),
        "an input of another name": ({"inputs": tensors(carrier={"name": SECRET})}, "has no input of that name"),
        "an input twice": ({"inputs": [*good, good[0]]}, "input 'carrier' is given twice"),
        "inputs are missing": ({"inputs": good[:2]}, "lacks 5 of the model's input columns"),
        "a number as id": ({"inputs": good, "id": NUMBER}, "id must be a string, got an integer"),
        "an array as parameters": ({"inputs": good, "parameters": [SECRET]}, "must be an object, got an array"),
        "a timeout below 0": ({"inputs": good, "parameters": {"timeout": -NUMBER}}, "a whole number of microseconds"),
        "a timeout that is text": ({"inputs": good, "parameters": {"timeout": SECRET}}, "got a string"),
        "outputs are text": ({"inputs": good, "outputs": SECRET}, "outputs must be an array, got a string"),
        "an unknown output": ({"inputs": good, "outputs": [{"name": SECRET}]}, "the model has no such output"),
        "an output that is text": ({"inputs": good, "outputs": [SECRET]}, "the model has no such output"),
        "an output twice": ({"inputs": good, "outputs": [{"name": "probability"}] * 2}, "is requested twice"),
        "a wish that is no boolean": (
            {"inputs": good, "parameters": {"binary_data_output": SECRET}},
            "binary_data_output must be true or false, got a string",
        ),
    }
    for name, (body, told) in wholes.items():
        yield Bad(f"V2: {name}", dumped(body)[:-1] if body is None else dumped(body), told, path=INFER)
    sent = dumped({"inputs": good})
    yield Bad("V2: another version", sent, "not served here", path="/v2/models/toy/versions/99/infer", status=404)
    yield Bad("V2: another model", sent, "not served here", path="/v2/models/other/infer", status=404)
    yield Bad("V2: another path", sent, "no such endpoint", path="/v2/models/toy/explain", status=404)
    yield Bad("V2: another method", None, "no such endpoint", path=INFER, status=405, method="GET")
    yield Bad("V2: CSV", sent, "header Content-Type", path=INFER, status=415, kind=CSV)
    yield Bad("V2: too large", sent + b" " * BODY_BYTES, "larger than", path=INFER, status=413)


def binary(case: str, told: str, raw: bytes, *, header: str | None = None, **tensor: Any) -> Bad:
    """A request whose carrier is binary, or whatever `tensor` makes of it."""
    described = {"data": ..., "parameters": {"binary_data_size": len(raw)}, **tensor}
    head = dumped({"inputs": tensors(carrier=described)})
    length = str(len(head)) if header is None else header
    return Bad(f"binary: {case}", head + raw, told, path=INFER, kind=OCTETS, headers={HEADER: length})


def binary_requests() -> Iterator[Bad]:
    text = struct.pack("<I", len(SECRET)) + SECRET.encode()
    number = struct.pack("<d", NUMBER)
    whole = "must be a whole number of bytes"
    for length in ("-1", "x", "1.0", "", " 5", "+5", "9" * 30):
        yield binary(f"the length {length[:4]!r}", f"{HEADER} {whole}", text, header=length)
    yield binary("a length beyond the body", "bytes of JSON, but the body has", text, header=str(10**9))
    yield binary("a length that cuts the JSON", "not valid JSON", text, header="20")
    yield binary("no JSON and many inputs", "this one has 8 inputs", text, header="0")
    for size in (-1, 1.5, "4", None, True):
        yield binary(f"the size {size!r}", f"binary_data_size {whole}", text, parameters={"binary_data_size": size})
    yield binary("a size beyond the body", "more than the 10 bytes", text, parameters={"binary_data_size": NUMBER})
    yield binary("bytes of no tensor", "belong to no input", text, parameters={"binary_data_size": 0}, shape=[0])
    yield binary("data and bytes", "has both data and binary_data_size", text, data=[SECRET])
    yield binary("a text beyond the end", "ends beyond the end", text[:-1])
    yield binary("a length beyond the end", "at least 8 bytes", text[:6], shape=[2])
    yield binary("bytes after the last text", "bytes are left after 1 values", text + b"xxxx")
    yield binary("a text that is not UTF-8", "expected UTF-8", struct.pack("<I", 7) + b"\xff" + SECRET.encode())
    yield binary("a huge shape", "the shape declares", text, shape=[2**61])
    few = {"name": "distance", "datatype": "FP64", "shape": [2]}
    yield binary("too few numbers", "which are 16 bytes; got 8 bytes", number, **few)
    yield binary("BOOL of another byte", "a byte that is neither 0 nor 1", b"\x02", name="wet", datatype="BOOL")


def repository_requests() -> Iterator[Bad]:
    load = f"{REPOSITORY}/load"
    number = "parameters.version must be the number of a version"
    for version in (SECRET, -1, 1.5, True, [NUMBER], "9" * 5000, ""):
        name = f"load: version {str(version)[:8]!r}"
        yield Bad(name, dumped({"parameters": {"version": version}}), number, path=load)
    yield Bad("load: parameters are text", dumped({"parameters": SECRET}), "parameters must be an object", path=load)
    yield Bad("load: parameters are false", dumped({"parameters": False}), "parameters must be an object", path=load)
    yield Bad("load: another parameter", dumped({"parameters": {SECRET: 1}}), "and no other", path=load)
    yield Bad("load: no JSON", SECRET.encode(), "not valid JSON", path=load)
    for command in ("load", "unload", "rollback"):
        path = f"/v2/repository/models/other/{command}"
        yield Bad(f"{command}: another model", b"{}", "not served here", path=path, status=404)
    yield Bad("rollback: nothing before", b"", "cannot be rolled back", path=f"{REPOSITORY}/rollback", status=409)
    yield Bad("unload: an array", dumped([SECRET]), "must be a JSON object", path=f"{REPOSITORY}/unload")
    yield Bad("index: ready is text", dumped({"ready": SECRET}), "ready must be a boolean", path="/v2/repository/index")
    yield Bad("index: another method", None, "no such endpoint", path="/v2/repository/index", status=405, method="GET")


BAD_INFERENCE = (*inference_requests(), *binary_requests(), *repository_requests())
