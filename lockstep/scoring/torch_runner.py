"""Runs a torch network on NumPy arrays: one place for devices, precision and copies."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lockstep.errors import DeviceMissing
from lockstep.scoring.backends import Arrays

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(wanted: str) -> torch.device:
    """Return the device that a worker scores on.

    Args:
        wanted: `auto` (a GPU if there is one), `cpu`, `cuda`, or `cuda:N` as Spark assigned it.

    Raises:
        DeviceMissing: A GPU is asked for that torch does not see.
    """
    count = torch.cuda.device_count() if wanted != "cpu" else 0
    if wanted == "cpu" or (wanted == "auto" and not count):
        return torch.device("cpu")
    device = torch.device("cuda:0" if wanted in {"auto", "cuda"} else wanted)
    if device.type != "cuda" or device.index >= count:
        raise DeviceMissing(wanted, found=f"{count} GPUs" if count else "no GPU")
    return device


class TorchRunner:
    """A network on one device, for any number of threads; on a GPU each works on a stream of its own."""

    def __init__(self, network: Callable[..., Any], device: torch.device, *, precision: str = "float32") -> None:
        self._network = network
        self.device = device
        self._precision = precision
        if device.type == "cuda":  # cuDNN's default would round float32 to 10 bits of mantissa in convolutions
            torch.backends.cudnn.allow_tf32 = False
        self._local = threading.local()

    def run(self, arrays: Arrays) -> Arrays:
        """Run the network: one array per tensor that it returns, floats as they are (reduced ones as float32)."""
        with torch.inference_mode():
            if self._precision not in DTYPES:
                return self._forward(arrays)
            with torch.autocast(self.device.type, dtype=DTYPES[self._precision]):
                return self._forward(arrays)

    def _forward(self, arrays: Arrays) -> Arrays:
        if self.device.type == "cuda":
            return self._run_on_gpu(arrays)
        if not hasattr(self._local, "threads"):
            # Asked, torch gives a new thread the number that was set for the process; its libraries do not ask, and
            # would split sums over all cores.
            self._local.threads = torch.get_num_threads()
        return tuple(_to_numpy(tensor) for tensor in _tensors(self._network(*map(torch.from_numpy, arrays))))

    def _run_on_gpu(self, arrays: Arrays) -> Arrays:
        """Copy from pinned memory without blocking, run, copy back; waits for this thread's stream alone."""
        stream = self._stream()
        with torch.cuda.device(self.device), torch.cuda.stream(stream):
            pinned = [torch.from_numpy(array).pin_memory() for array in arrays]
            inputs = [tensor.to(self.device, non_blocking=True) for tensor in pinned]
            results = [_widened(tensor) for tensor in _tensors(self._network(*inputs))]
            hosts = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in results]
            for host, tensor in zip(hosts, results, strict=True):
                host.copy_(tensor, non_blocking=True)
        stream.synchronize()
        return tuple(np.asarray(host.numpy()) for host in hosts)

    def _stream(self) -> torch.cuda.Stream:
        if not hasattr(self._local, "stream"):
            self._local.stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream: torch.cuda.Stream = self._local.stream
        return stream


def _tensors(result: Any) -> list[torch.Tensor]:
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, dict):
        return list(result.values())
    return list(result)


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.dtype in {torch.bfloat16, torch.float16} else tensor


def _to_numpy(tensor: torch.Tensor) -> "np.ndarray[Any, Any]":
    return np.asarray(_widened(tensor).numpy())
