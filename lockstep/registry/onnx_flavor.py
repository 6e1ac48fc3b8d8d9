"""Models of `mlflow.onnx.log_model`: their graph straight through ONNX Runtime.

Inputs are mapped as MLflow's own pyfunc maps them (`_OnnxModelWrapper.predict` in `mlflow/onnx/__init__.py`): of a
signature of columns, a graph with one input gets all of them as a matrix, and one with several gets each by its name;
of a signature of tensors, each by its name, or the only one. Doubles become the floats that the graph takes.
"""

import importlib.metadata
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from filelock import FileLock

from lockstep.errors import ArtifactInvalid, DeviceMissing, OutputMismatch, PrecisionUnsupported
from lockstep.registry.artifact import Artifact
from lockstep.registry.model_arrays import column_arrays, match_names, matrix, split_columns, tensor_arrays
from lockstep.scoring.array_backend import ArrayBackend, Encode, in_calls_of
from lockstep.scoring.backends import Arrays, Execution
from lockstep.scoring.onnx_runner import FLOATS, GraphInput, GraphOptions, OnnxRunner, open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FLAVOR = "onnx"
DEFAULT_FILE = "model.onnx"


def load(artifact: Artifact, execution: Execution) -> ArrayBackend:
    """Load the graph of an artifact.

    Raises:
        ArtifactInvalid: There is no graph, or its inputs or outputs are not those of the signature.
        DeviceMissing: A GPU is asked for and there is none.
        PrecisionUnsupported: `int8` is asked for, and the graph has no product with a constant matrix.
    """
    title = artifact.title
    declared = artifact.flavors[FLAVOR]
    model = artifact.path / (declared.get("data") or DEFAULT_FILE)
    if not model.is_file():
        raise ArtifactInvalid(title, f"it has no file {model.name}")
    if execution.precision == "int8":
        model = _quantized(artifact, model)
    stored = declared.get("onnx_session_options") or {}
    options = GraphOptions(stored.get("graph_optimization_level"), stored.get("extra_session_config") or {})
    session, device = _opened(model, execution, options=options, title=title)
    try:
        names = match_names(artifact.signature.outputs, [output.name for output in session.get_outputs()])
    except OutputMismatch as error:
        if len(session.get_outputs()) != 1:
            problem = f"its graph does not give what the signature declares: {error}"
            raise ArtifactInvalid(title, problem) from error
        names = [session.get_outputs()[0].name]  # one matrix, a column for each output
    runner = OnnxRunner(session, device, outputs=names)
    run = runner.run if runner.fixed_rows is None else in_calls_of(runner.fixed_rows, runner.run)
    count = len(artifact.signature.outputs)
    encode = _encode(artifact, runner.inputs)
    return ArrayBackend(encode, lambda given: split_columns(run(given), count), device=device, parallel=True)


def _opened(model: Path, execution: Execution, *, options: GraphOptions, title: str) -> "tuple[InferenceSession, str]":
    try:
        return open_session(model, execution, options=options)
    except DeviceMissing:
        raise
    except Exception as error:  # each of its failures has a class of its own
        raise ArtifactInvalid(title, f"ONNX Runtime cannot load it: {type(error).__name__}: {error}") from error


def _encode(artifact: Artifact, inputs: tuple[GraphInput, ...]) -> Encode:
    columns, tensors = artifact.signature.inputs, artifact.tensors
    names = [column.name for column in columns]
    if len(inputs) == 1 and not tensors:
        return lambda batch: (inputs[0].fit(_matrix(column_arrays(batch, columns), inputs[0])),)
    if len(inputs) == 1 and len(tensors) == 1 and not tensors[0].is_named:
        return lambda batch: (inputs[0].fit(tensor_arrays(batch, columns, tensors)[0]),)
    missing = [given.name for given in inputs if given.name not in names]
    if missing:
        problem = f"its graph takes {', '.join(missing)}, which the signature does not have ({', '.join(names)})"
        raise ArtifactInvalid(artifact.title, problem)
    places = [names.index(given.name) for given in inputs]

    def by_name(batch: pa.RecordBatch) -> Arrays:
        arrays = tensor_arrays(batch, columns, tensors) if tensors else column_arrays(batch, columns)
        return tuple(given.fit(arrays[place]) for given, place in zip(inputs, places, strict=True))

    return by_name


def _matrix(arrays: Arrays, given: GraphInput) -> "np.ndarray[tuple[int, ...], np.dtype[np.generic]]":
    """Put columns side by side in the graph's float type, or as MLflow's data frame would hold them together."""
    if given.kind in FLOATS:
        return matrix(arrays, FLOATS[given.kind])
    return matrix(arrays, object if any(a.dtype.hasobject for a in arrays) else np.result_type(*arrays))


def _quantized(artifact: Artifact, model: Path) -> Path:
    """Return the graph in 8-bit integers, made once per machine and kept beside the model in the node cache."""
    from lockstep.scoring.onnx_int8 import quantize

    made_by = f"onnxruntime-{importlib.metadata.version('onnxruntime')}"
    target = artifact.path.parent / "int8" / made_by / "model.onnx"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            partial = target.with_name(f"model.{os.getpid()}.partial")
            if not target.is_file():
                if not quantize(model, partial):
                    reason = "its graph has no product with a constant float32 matrix"
                    raise PrecisionUnsupported(artifact.title, wanted="int8", reason=reason)
                partial.replace(target)
    return target
