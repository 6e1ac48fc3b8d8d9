import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pytest

from lockstep.errors import CheckFailed, StepOutOfOrder
from lockstep.run.folder import INPUT, MANIFEST, REPORT, RunFolder
from lockstep.steps.audit import audit
from lockstep.steps.gate import gate
from lockstep.steps.publish import publish
from lockstep.steps.report import report
from tests.unit.steps.runs import make_run, make_settings

pytestmark = pytest.mark.slow


class Page(html.parser.HTMLParser):
    """Collects what a browser would fetch, and checks that tags close."""

    VOID = {"meta", "br", "wbr", "rect", "line", "path"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        assert tag not in ("script", "link", "img", "iframe")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def render(folder: RunFolder, root: Path) -> str:
    facts = report(folder, make_settings(root))
    assert facts["report"] == str(folder.file(REPORT))
    text = folder.file(REPORT).read_text()
    page = Page(text)
    assert page.open == []
    assert all(not link.startswith(("http", "//")) for link in page.links)
    assert all(folder.file(link).is_file() for link in page.links)
    assert "url(" not in text
    assert "@import" not in text
    return text


def words(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def test_a_published_run(tmp_path: Path) -> None:
    folder, settings = make_run(tmp_path), make_settings(tmp_path)
    for step in (gate, audit, publish):
        step(folder, settings)
    text = render(folder, tmp_path)
    for expected in ["Published", "40 rows of parcel_scores", "Tuesday, 5 March 2024", "Checks passed"]:
        assert expected in words(text)
    assert "lockstep run parcels --date 2024-03-05 --model-version 1" in text
    assert folder.plan(step="test").model.digest in text
    assert 'href="gx/gate/index.html"' in text
    assert 'href="gx/audit/index.html"' in text
    assert text.count("<svg") == 1
    assert report(folder, settings)["verdict"] == "Published"


def test_a_run_that_the_audit_stopped(tmp_path: Path) -> None:
    folder = make_run(tmp_path, score=lambda batch: np.full(batch.num_rows, 0.5))
    gate(folder, make_settings(tmp_path))
    with pytest.raises(CheckFailed):
        audit(folder, make_settings(tmp_path))
    text = words(render(folder, tmp_path))
    assert "Stopped by the audit" in text
    assert "Nothing of this run was published" in text
    assert "Why it stopped" in text
    assert "expect_column_stdev_to_be_between" in text.replace("_ ", "_")


def test_a_run_that_has_only_a_plan(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    for name in [MANIFEST, INPUT]:
        folder.file(name).unlink()
    text = words(render(folder, tmp_path))
    assert "Not published" in text
    assert "No check has run yet." in text


def test_quarantine_reasons_are_escaped_and_counted(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    manifest = json.loads(folder.file(MANIFEST).read_text())
    manifest["units"][0]["reasons"] = {"<script>alert(1)</script>": 3}
    folder.write_json(MANIFEST, manifest)
    text = render(folder, tmp_path)
    assert "3 × &lt;script&gt;" in text


def test_it_needs_a_plan(tmp_path: Path) -> None:
    with pytest.raises(StepOutOfOrder):
        report(RunFolder(tmp_path), make_settings(tmp_path))
