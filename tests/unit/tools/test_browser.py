from pathlib import Path

import pytest

from tools import browser
from tools.browser import find_chromium, main, problem_of


def program(path: Path, text: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a browser; returns the only folder of its PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("LOCKSTEP_CHROMIUM", raising=False)
    monkeypatch.setattr(browser, "APPLICATIONS", ())
    monkeypatch.setattr(browser, "may_install", lambda: False)
    return folder


def test_takes_the_first_that_is_installed(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_chromium({"PATH": str(bare)}) is None
    application = program(tmp_path / "Chrome.app" / "Google Chrome")
    monkeypatch.setattr(browser, "APPLICATIONS", (str(application),))
    assert find_chromium({"PATH": str(bare)}) == application
    chrome = program(bare / "google-chrome")
    assert find_chromium({"PATH": str(bare)}) == chrome
    chromium = program(bare / "chromium")
    assert find_chromium({"PATH": str(bare)}) == chromium


def test_takes_the_one_that_is_named_and_no_other(bare: Path, tmp_path: Path) -> None:
    program(bare / "chromium")
    named = program(tmp_path / "mine")
    assert find_chromium({"PATH": str(bare), "LOCKSTEP_CHROMIUM": str(named)}) == named
    wrong = {"PATH": str(bare), "LOCKSTEP_CHROMIUM": str(tmp_path)}
    assert find_chromium(wrong) is None
    assert problem_of(wrong) == f"LOCKSTEP_CHROMIUM={tmp_path} is no program"


def test_without_a_browser_says_once_what_to_install(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "none found; install Chromium (on Debian: apt-get install chromium)" in line


def test_root_on_debian_gets_it_installed(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(browser, "may_install", lambda: True)
    made = bare / "chromium"
    program(bare / "apt-get", f'case "$*" in *install*) echo "#!/bin/sh" > {made}; /bin/chmod 755 {made};; esac')
    assert main() == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"browser: {made}"


def test_failed_installation_is_said_and_is_no_failure(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(browser, "may_install", lambda: True)
    program(bare / "apt-get", "echo 'E: no network' >&2; exit 100")
    assert main() == 0
    assert "apt-get update failed (E: no network); install Chromium" in capsys.readouterr().out
