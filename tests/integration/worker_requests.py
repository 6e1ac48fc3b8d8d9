"""Requests of the Open Inference Protocol to the models of an endpoint with one copy."""

import json
from typing import Any

KINDS = {"city": "BYTES", "age": "FP64", "spend": "FP64"}
ENRICHED = {"city": ["bern", "rome"], "age": [31.5, None], "depot": [1, 2]}


def tensors(asked: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": name, "datatype": kind, "shape": [len(asked)], "data": [row[name] for row in asked]}
            for name, kind in KINDS.items()
        ]
    }


def binary(asked: list[dict[str, Any]]) -> tuple[bytes, dict[str, str]]:
    """A request whose answer is raw bytes."""
    head = json.dumps({**tensors(asked), "parameters": {"binary_data_output": True}}).encode()
    return head, {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}


def enriched() -> dict[str, Any]:
    kinds = {"city": "BYTES", "age": "FP64", "depot": "INT64"}
    inputs = [{"name": n, "datatype": kind, "shape": [2], "data": ENRICHED[n]} for n, kind in kinds.items()]
    return {"inputs": inputs, "id": "same"}
