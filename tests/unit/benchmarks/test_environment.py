from pathlib import Path

import pytest

from tools import environment, lock
from tools.environment import ENVIRONMENTS, stamp_path


def test_environment_is_made_anew_when_the_data_environment_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "pyproject.toml").write_text("[build-system]\n[project]\nname='x'\n[tool.setuptools]\n")
    data, bench = (tmp_path / "requirements" / f"{name}.lock" for name in ("data", "bench"))
    data.write_text("numpy==2.4.6\n")
    bench.write_text("ray==2.60.0\n")
    assert ENVIRONMENTS["bench"].locks == (data, bench)
    first = stamp_path(ENVIRONMENTS["bench"])
    data.write_text("numpy==2.4.7\n")
    assert stamp_path(ENVIRONMENTS["bench"]) != first


def test_peers_bring_no_second_version_of_anything() -> None:
    pins = {name: dict(pin.split("==") for pin in lock.read_lock(name)) for name in ("data", "bench")}
    common = pins["data"].keys() & pins["bench"].keys()
    assert {name: pins["bench"][name] for name in common} == {name: pins["data"][name] for name in common}
    assert {"ray", "daft"} <= pins["bench"].keys()
