"""The script by which Spark learns of GPUs, with a stand-in for nvidia-smi on the PATH."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "spark-conf" / "gpu_discovery.sh"
TOOLS = ("sh", "sed", "paste")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder with what the script uses, but without nvidia-smi."""
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / tool).symlink_to(found)
    return tmp_path


def discover(path: Path, nvidia_smi: str | None) -> "subprocess.CompletedProcess[str]":
    if nvidia_smi is not None:
        (path / "nvidia-smi").write_text(f"#!{shutil.which('sh')}\n{nvidia_smi}\n")
        (path / "nvidia-smi").chmod(0o755)
    return subprocess.run(
        [str(SCRIPT)], env={"PATH": str(path)}, capture_output=True, text=True, check=False, timeout=20
    )


@pytest.mark.parametrize(
    ("printed", "addresses"),
    [("0", ["0"]), ("0\\n1\\n2\\n3", ["0", "1", "2", "3"]), ("0 \\n 7\\n", ["0", "7"])],
)
def test_each_gpu_is_an_address(path: Path, printed: str, addresses: list[str]) -> None:
    answer = discover(path, f"[ \"$*\" = '--query-gpu=index --format=csv,noheader' ] && printf '{printed}'")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == {"name": "gpu", "addresses": addresses}
    assert len(answer.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("nvidia_smi", "told"),
    [
        (None, "nvidia-smi was not found"),
        ("true", "lists no GPU"),
        ("echo 'driver mismatch' >&2; exit 9", "driver mismatch"),
    ],
)
def test_what_keeps_it_from_finding_one_is_said(path: Path, nvidia_smi: str | None, told: str) -> None:
    answer = discover(path, nvidia_smi)
    assert answer.returncode != 0
    assert told in answer.stderr
    assert answer.stdout == ""


def test_the_shell_script_has_no_findings() -> None:
    checker = Path(sys.executable).parent / "shellcheck"
    if not checker.is_file():
        pytest.skip("shellcheck is not installed: `make setup-dev`")
    answer = subprocess.run([str(checker), str(SCRIPT)], capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stdout
