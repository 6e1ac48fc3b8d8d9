"""The builder of the site, on a small site of its own: it builds what is sound, and fails for what leads nowhere."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "docs" / "bin" / "python"
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="no environment for the site: make setup-docs")
# What the generated pages link to.
PAGES = ("index", "endpoint", "errors", "deployment")
NAVIGATION = """\
nav:
  - index.md
  - glob: tutorials/*.md
    ignore_no_matches: true
  - endpoint.md
  - errors.md
  - deployment.md
  - reference
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    (docs / "stylesheets").mkdir(parents=True)
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    shutil.copy(ROOT / "docs" / "stylesheets" / "site.css", docs / "stylesheets")
    (docs / ".nav.yml").write_text(NAVIGATION)
    for name in PAGES:
        (docs / f"{name}.md").write_text(f"# {name.title()}\n\n## A `part` of it\n\n[one](#a-part-of-it)\n")
    return tmp_path


def build(project: Path) -> subprocess.CompletedProcess[str]:
    # Nothing may be asked for: a proxy that is not there would refuse it.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    variables = os.environ | nowhere | {"PYTHONPATH": str(ROOT)}
    command = [PYTHON, "-m", "tools.docs.build", "--root", project]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120, check=False)


def test_a_sound_site_is_built_and_tutorials_are_found(project: Path) -> None:
    (project / "docs" / "tutorials").mkdir()
    (project / "docs" / "tutorials" / "first.md").write_text("# First\n\n[an endpoint](../endpoint.md#a-part-of-it)\n")
    done = build(project)
    assert (done.returncode, done.stderr) == (0, "")
    site = project / "build" / "site"
    assert 'href="../endpoint.html#a-part-of-it"' in (site / "tutorials" / "first.html").read_text()
    assert (site / "reference" / "scoring.schema.json").exists()
    assert 'href="./tutorials/first.html"' in (site / "index.html").read_text()


def test_anchors_and_references_that_lead_nowhere_fail_it(project: Path) -> None:
    (project / "docs" / "index.md").write_text("# Index\n\n[a](errors.md#gone) [b](#gone) [c][gone]\n")
    done = build(project)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "index.md:3:15: anchor does not exist",
        "index.md:3:26: anchor does not exist",
        "index.md:3:36: unresolved link reference",
    ]


def test_a_file_that_is_not_there_fails_it(project: Path) -> None:
    (project / "docs" / "index.md").write_text("# Index\n\n![a](gone.svg)\n")
    done = build(project)
    assert (done.returncode, done.stderr) == (1, "docs/index.md: gone.svg does not exist\n")


def test_what_is_fetched_from_elsewhere_and_a_page_in_no_section_fail_it(project: Path) -> None:
    (project / "docs" / "lost.md").write_text("# Lost\n\n![a](https://example.org/a.png)\n")
    done = build(project)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "lost.html: fetches https://example.org/a.png",
        "lost.html: in no section of docs/.nav.yml, so nobody finds it",
    ]
