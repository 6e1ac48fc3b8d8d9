from pathlib import Path

import pytest

from tools import gateway
from tools.gateway import find_envoy, find_nginx, main, not_started


def program(path: Path, text: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without either; returns the only folder of its PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for variable in (gateway.NGINX, gateway.ENVOY):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(gateway, "PLACES", ())
    monkeypatch.setattr(gateway, "ENVOY_PLACE", tmp_path / "envoy")
    monkeypatch.setattr(gateway, "POLICY", tmp_path / "policy")
    monkeypatch.setattr(gateway, "may_install", lambda: False)
    return folder


def test_takes_what_is_named_and_no_other(bare: Path, tmp_path: Path) -> None:
    assert (find_nginx({"PATH": str(bare)}), find_envoy({"PATH": str(bare)})) == (None, None)
    nginx, envoy = program(bare / "nginx"), program(bare / "envoy")
    assert (find_nginx({"PATH": str(bare)}), find_envoy({"PATH": str(bare)})) == (nginx, envoy)
    mine = program(tmp_path / "mine")
    assert find_nginx({"PATH": str(bare), "LOCKSTEP_NGINX": str(mine)}) == mine
    assert find_envoy({"PATH": str(bare), "LOCKSTEP_ENVOY": str(tmp_path / "absent")}) is None


def test_without_them_says_what_to_install_and_is_no_failure(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCKSTEP_ENVOY", "/nowhere")
    assert main() == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("nginx: none found; install nginx (on Debian: apt-get install nginx;")
    assert second.startswith("envoy: LOCKSTEP_ENVOY=/nowhere is no program; ")


def test_no_service_is_started_by_an_installation(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with not_started(policy):
        assert "exit 101" in policy.read_text()
    assert not policy.exists()
    policy.write_text("theirs")
    with not_started(policy):
        assert policy.read_text() == "theirs"
    assert policy.read_text() == "theirs"
