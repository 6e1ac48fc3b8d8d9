"""Memory: errors that say it ran out, and figures that say it is about to."""

from pathlib import Path

import pytest
import torch

from lockstep.scoring.memory import host_is_low, is_out_of_memory


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
            True,
        ),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_that_say_memory_ran_out(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_torch_says_so_itself() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 62, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(("available", "expected"), [(40, True), (60, False)])
def test_the_machine(available: int, expected: bool, tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal:  1000 kB\nMemFree:  1 kB\nMemAvailable:  {available} kB\n")
    assert host_is_low(meminfo=meminfo, cgroup=tmp_path) is expected


@pytest.mark.parametrize(
    ("limit", "used", "cached", "expected"), [("1000", 980, 0, True), ("1000", 980, 500, False), ("max", 980, 0, False)]
)
def test_the_container(limit: str, used: int, cached: int, expected: bool, tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\n")
    assert host_is_low(meminfo=tmp_path / "none", cgroup=tmp_path) is expected


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    assert not host_is_low(meminfo=tmp_path / "none", cgroup=tmp_path)
