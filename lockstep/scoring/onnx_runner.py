"""Runs an ONNX graph on NumPy arrays through ONNX Runtime: one place for providers, threads and casts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from lockstep.errors import DeviceMissing
from lockstep.scoring.backends import Arrays, Execution
from lockstep.scoring.memory import TELLING

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
# ONNX Runtime's names of the floats that a double, and any narrower number, is cast to.
FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


@dataclass(frozen=True)
class GraphOptions:
    """What the artifact itself says about a session; threads are a matter of `Execution`.

    Attributes:
        optimization_level: ONNX Runtime's number; none leaves its default, everything.
        session_config: Further entries.
    """

    optimization_level: int | None = None
    session_config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GraphInput:
    """An input of a graph: its name, ONNX Runtime's type, and its dimensions, none where any size goes."""

    name: str
    kind: str
    shape: tuple[int | None, ...]

    def fit(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Cast numbers to the float type of the input, and give a plain column the input's dimensions of one."""
        if self.kind in FLOATS and array.dtype.kind in "fiub":
            array = array.astype(FLOATS[self.kind], copy=False)
        if array.ndim == 1 and len(self.shape) > 1 and all(size in {1, None} for size in self.shape[1:]):
            array = array.reshape(len(array), *(1 for _ in self.shape[1:]))
        return np.ascontiguousarray(array)


class OnnxRunner:
    """A session on one device; it may be used by several threads at a time."""

    def __init__(self, session: onnxruntime.InferenceSession, device: str, *, outputs: Sequence[str]) -> None:
        self._session = session
        self._outputs = list(outputs)
        self.device = device
        self.inputs = graph_inputs(session)

    @property
    def fixed_rows(self) -> int | None:
        """Rows that the graph was exported for, when it takes no other number."""
        sizes = {given.shape[0] for given in self.inputs if given.shape} - {None}
        return min((size for size in sizes if size is not None), default=None)

    def run(self, arrays: Arrays) -> Arrays:
        """Run the graph: one array per wanted output, as the graph types it.

        Raises:
            MemoryError: An allocation failed, for which ONNX Runtime has no class of its own.
        """
        feeds = {given.name: array for given, array in zip(self.inputs, arrays, strict=True)}
        try:
            results = self._session.run(self._outputs, feeds)
        except Exception as error:
            if any(telling in str(error).lower() for telling in TELLING):
                raise MemoryError(str(error)) from error
            raise
        return tuple(np.asarray(result) for result in results)


def graph_inputs(session: onnxruntime.InferenceSession) -> tuple[GraphInput, ...]:
    """Return the inputs of a session's graph, in order."""
    return tuple(
        GraphInput(i.name, i.type, tuple(size if isinstance(size, int) and size > 0 else None for size in i.shape))
        for i in session.get_inputs()
    )


def open_session(
    model: Path, execution: Execution, *, options: GraphOptions | None = None
) -> tuple[onnxruntime.InferenceSession, str]:
    """Open a graph for scoring; return the session and its device.

    Args:
        model: ONNX file; external data lies beside it.
        execution: Device and threads. One node runs after the other, each on `threads` threads.
        options: What the artifact adds.

    Raises:
        DeviceMissing: A GPU is asked for, and this ONNX Runtime cannot use one.
    """
    options = options or GraphOptions()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = execution.threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    settings.log_severity_level = 3  # errors; what it warns of are its own optimisations
    if options.optimization_level is not None:
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel(options.optimization_level)
    for key, value in options.session_config.items():
        settings.add_session_config_entry(key, str(value))
    device, providers = choose_providers(execution.device, onnxruntime.get_available_providers())
    session = onnxruntime.InferenceSession(str(model), settings, providers=providers)
    if device != "cpu" and CUDA not in session.get_providers():  # ONNX Runtime falls back without an error
        if execution.device != "auto":
            raise _missing(execution.device, found=f"{CUDA}, which does not start (CUDA or cuDNN libraries)")
        device = "cpu"
    return session, device


def choose_providers(wanted: str, available: Sequence[str]) -> tuple[str, list[Any]]:
    """Return the device and ONNX Runtime's providers for it.

    Raises:
        DeviceMissing: A GPU is asked for, and there is no provider for it.
    """
    if wanted == "cpu" or (wanted == "auto" and CUDA not in available):
        return "cpu", [CPU]
    if CUDA not in available:
        raise _missing(wanted, found=f"only {', '.join(available)}")
    number = int(wanted.partition(":")[2] or 0)
    # TF32 would round float32 to 10 bits of mantissa.
    return f"cuda:{number}", [(CUDA, {"device_id": number, "use_tf32": 0}), CPU]


def _missing(wanted: str, *, found: str) -> DeviceMissing:
    return DeviceMissing(wanted, found=found, library="onnxruntime")
