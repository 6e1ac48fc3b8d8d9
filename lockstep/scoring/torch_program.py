"""Exported programs as plain functions, and their short form in the node cache.

Reading a `torch.export` program imports much of the compiler of PyTorch, which takes longer than to load a network of
average size. What a process has read once is therefore kept beside the artifact: the generated function, a few lines of
calls of `torch.ops`, and the weights.
"""

import contextlib
import math
import pickle
import re
import types
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.fx import GraphModule

from lockstep.run.identity import file_sha256
from lockstep.scoring.torch_graph import bind_weights, overwrite_activations

Forward = Callable[..., Any]
# To be raised with any change to what is kept or how a program is rewritten.
FORMAT = 1
# All that a kept function may name besides its weights.
NAMES = {"torch": torch, "device": torch.device, "inf": math.inf, "nan": math.nan, "NoneType": type(None)}
UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, TypeError, SyntaxError, EOFError, pickle.UnpicklingError)


def load_exported(path: Path, device: torch.device, *, cache: Path | None = None) -> Forward:
    """Load a `torch.export` program as a plain function from tensors to a tensor or a tuple of tensors.

    Args:
        path: The program.
        device: Where it is to run.
        cache: Folder of this artifact for what is kept between processes; none to keep nothing. A file there that
            cannot be read is made anew.
    """
    kept = cache / _name(path, device) if cache is not None else None
    if kept is not None and kept.is_file():
        try:
            return _read(kept, device)
        except UNREADABLE:
            pass  # a file that was damaged, or written by other code: it is replaced below
    module = _module(path, device)
    if kept is not None:
        _keep(module, kept)
    forward: Forward = module.forward
    return forward


def _name(path: Path, device: torch.device) -> str:
    """Name what a kept function holds for; by the program's own bytes, so that it is never that of another model."""
    return f"{file_sha256(path)}-{device.type}-{torch.__version__}-{FORMAT}.pt"


def _module(path: Path, device: torch.device) -> GraphModule:
    """Read a program.

    The module that torch makes of it checks and flattens nested inputs on each call, which takes longer than a small
    network does. The inputs here are flat, and the signature was checked before.
    """
    from torch.export.passes import move_to_device_pass

    program = torch.export.load(path)
    if device.type != "cpu":  # with the constants that the network makes while it runs
        program = move_to_device_pass(program, device)
    module: GraphModule = program.module(check_guards=False).to(device)
    module.graph.set_codegen(torch.fx.graph.CodeGen())
    overwrite_activations(module)
    bind_weights(module)
    return module


def _keep(module: GraphModule, target: Path) -> None:
    """Write function and weights; a network that needs more, or a cache that cannot be written, is passed over."""
    code = module.graph.python_code("self")
    names = [str(node.target) for node in module.graph.nodes if node.op == "get_attr"]
    needed = {name for name in code.globals if re.search(rf"\b{name}\b", code.src)}
    if not NAMES.keys() >= needed or not vars(module).keys() >= set(names):
        return
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"code": code.src, "weights": {name: vars(module)[name] for name in names}}, partial)
        partial.replace(target)
    except (OSError, RuntimeError):
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _read(path: Path, device: torch.device) -> Forward:
    stored = torch.load(path, map_location=device, weights_only=True)
    found: dict[str, Any] = dict(NAMES)
    exec(stored["code"], found)  # noqa: S102 - written by `_keep`, into a cache that only this user writes
    return types.MethodType(found["forward"], types.SimpleNamespace(**stored["weights"]))
