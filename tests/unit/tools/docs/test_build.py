import errno
import http.server
from pathlib import Path

import pytest

from tools.docs.build import complaints, serve

DRAWN = """\
Build started
\x1b[33mWarning:\x1b[0m anchor does not exist
   \x1b[38;5;246m╭\x1b[0m\x1b[38;5;246m─\x1b[0m\x1b[38;5;246m[\x1b[0m lost.md:3:15 \x1b[38;5;246m]\x1b[0m
   │
 3 │ [a](errors.md#nope)
WARNING -  awesome-nav: The nav item 'gone.md' doesn't match any files or directories [.nav.yml]
"""


def test_complaints_are_a_line_each() -> None:
    assert complaints(DRAWN) == [
        "lost.md:3:15: anchor does not exist",
        "WARNING -  awesome-nav: The nav item 'gone.md' doesn't match any files or directories [.nav.yml]",
    ]


def test_what_is_no_complaint_is_shown_as_it_is() -> None:
    assert complaints("Traceback\n  KeyError: 'x'\n") == ["Traceback\n  KeyError: 'x'"]
    assert complaints("") == ["zensical failed, and does not say why"]


def test_a_port_that_is_taken_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def taken(*_: object) -> None:
        raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr(http.server, "ThreadingHTTPServer", taken)
    assert serve(tmp_path, port=8000) == 1
    assert capsys.readouterr().err == (
        "docs: port 8000 of 127.0.0.1 cannot be used: Address already in use. make docs-serve DOCS_PORT=8001\n"
    )
