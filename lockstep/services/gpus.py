"""How many NVIDIA GPUs this machine offers."""

import os
from collections.abc import Mapping
from pathlib import Path

DRIVER = Path("/proc/driver/nvidia/gpus")


def count_gpus(environ: Mapping[str, str] = os.environ, *, driver: Path = DRIVER) -> int:
    """Count the GPUs that a process of ours may use, without starting anything.

    Args:
        environ: `CUDA_VISIBLE_DEVICES` in it limits them, as it does for CUDA.
        driver: Where the driver lists them, one folder each.
    """
    found = len(list(driver.iterdir())) if driver.is_dir() else 0
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    named = [name for name in visible.split(",") if name.strip() not in {"", "-1", "NoDevFiles"}]
    return min(found, len(named))
