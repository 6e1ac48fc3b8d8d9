"""Models of `mlflow.pytorch.log_model`: their network straight through torch, without pandas.

Inputs are mapped as MLflow's own pyfunc maps them (`_PyTorchWrapper.predict` in `mlflow/pytorch/__init__.py`): columns
become one `(rows, columns) float32` matrix, a tensor stays as it is. MLflow takes one tensor; several, which an
exported program may have, are given in the order of the signature.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lockstep.errors import PrecisionUnsupported
from lockstep.registry.artifact import Artifact
from lockstep.registry.model_arrays import column_arrays, match_names, matrix, split_columns, tensor_arrays
from lockstep.registry.unloadable import unloadable
from lockstep.scoring.array_backend import ArrayBackend, Encode, in_calls_of
from lockstep.scoring.backends import Arrays, Backend, Execution
from lockstep.scoring.int8_linear import quantize
from lockstep.scoring.torch_program import load_exported
from lockstep.scoring.torch_runner import TorchRunner, choose_device

FLAVOR = "pytorch"
EXPORTED_FILE = "model.pt2"
FORECASTING = "pytorch_forecasting"

Network = Callable[..., Any]


def load(artifact: Artifact, execution: Execution) -> Backend:
    """Load the network of an artifact: an exported program, or a pickled module.

    Raises:
        ArtifactInvalid: It cannot be loaded in this environment.
        DeviceMissing: A GPU is asked for and there is none.
        PrecisionUnsupported: `int8` is asked for, and the network is exported or has no linear layer.
    """
    device = choose_device(execution.device)
    torch.set_num_threads(execution.threads)
    exported = artifact.path / artifact.flavors[FLAVOR].get("model_data", "data") / EXPORTED_FILE
    rows: int | None = None
    network: Network
    parallel = True
    if exported.is_file():
        if execution.precision == "int8":
            reason = (
                "it is an exported program, whose layers cannot be exchanged; log it with serialization_format='pickle'"
            )
            raise PrecisionUnsupported(artifact.title, wanted="int8", reason=reason)
        network = load_exported(exported, device)
        rows = fixed_rows(network)
    else:
        module = _load_module(artifact, device)
        if type(module).__module__.startswith(FORECASTING):  # predicts data frames
            from lockstep.registry.pyfunc_backend import load as load_pyfunc

            return load_pyfunc(artifact, execution)
        if execution.precision == "int8" and not quantize(module):
            raise PrecisionUnsupported(artifact.title, wanted="int8", reason="it has no linear layer")
        parallel = _is_the_librarys(module)
        network = _in_order(module.to(device), artifact)
    runner = TorchRunner(network, device, precision=execution.precision)
    run = runner.run if rows is None else in_calls_of(rows, runner.run)
    count = len(artifact.signature.outputs)

    def score(arrays: Arrays) -> Arrays:
        return split_columns(run(tuple(_own(array, device) for array in arrays)), count)

    return ArrayBackend(_encode(artifact), score, device=str(runner.device), parallel=parallel)


def fixed_rows(network: Network) -> int | None:
    """Return the rows that an exported program takes, when it takes no other number.

    torch exports a first dimension of one row as a constant.
    """
    module = getattr(network, "__self__", None)
    if not isinstance(module, torch.fx.GraphModule):
        return None
    sizes = set()
    for node in module.graph.find_nodes(op="placeholder"):
        value = node.meta.get("val")
        if isinstance(value, torch.Tensor) and value.ndim and isinstance(value.shape[0], int):
            sizes.add(value.shape[0])
    return min(sizes, default=None)


def _load_module(artifact: Artifact, device: torch.device) -> torch.nn.Module:
    import mlflow.pytorch

    try:
        # MLflow itself adds the code that was logged with the model, and refuses pickles where these are not allowed.
        module = mlflow.pytorch.load_model(str(artifact.path), map_location=device, weights_only=False)
    except Exception as error:  # a model's own code may raise anything
        raise unloadable(artifact, error) from error
    module.eval()
    loaded: torch.nn.Module = module
    return loaded


def _is_the_librarys(module: torch.nn.Module) -> bool:
    """Whether a network is made of torch's own layers: code of a user may keep something between two steps."""
    return all(type(part).__module__.partition(".")[0] == "torch" for part in module.modules())


def _in_order(module: torch.nn.Module, artifact: Artifact) -> Network:
    """Give the outputs of a network that returns them by name in the order of the signature."""
    outputs = artifact.signature.outputs

    def forward(*tensors: torch.Tensor) -> Any:
        result = module(*tensors)
        if not isinstance(result, dict):
            return result
        return [result[name] for name in match_names(outputs, list(result))]

    return forward


def _encode(artifact: Artifact) -> Encode:
    columns, tensors = artifact.signature.inputs, artifact.tensors
    if not tensors:
        return lambda batch: (matrix(column_arrays(batch, columns), np.float32),)
    return lambda batch: tensor_arrays(batch, columns, tensors)


def _own(array: npt.NDArray[Any], device: torch.device) -> npt.NDArray[Any]:
    """Return an array that the network may write to, as networks do: the same rows may be scored again."""
    return array if device.type == "cuda" and array.flags.writeable else array.copy()
