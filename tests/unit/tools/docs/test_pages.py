from pathlib import Path, PurePosixPath

import pytest

from tools.docs.pages import LinkBroken, lay_out, placed, relinked


def test_files_outside_of_docs_come_along_with_what_they_link_to(tmp_path: Path) -> None:
    root, target = tmp_path / "root", tmp_path / "site"
    (root / "docs" / "sub").mkdir(parents=True)
    (root / "tests").mkdir()
    (root / "run.conf").write_text("a=1\n")
    (root / "NOTES.md").write_text("[conf](run.conf)\n")
    (root / "docs" / "sub" / "page.md").write_text("[notes](../../NOTES.md#top) [tests](../../tests/) ![p](../p.svg)\n")
    (root / "docs" / "p.svg").write_text("<svg/>")
    lay_out(root, target)
    assert (target / "sub" / "page.md").read_text() == "[notes](../project/NOTES.md#top) tests ![p](../p.svg)\n"
    assert (target / "project" / "NOTES.md").read_text() == "[conf](../files/run.conf.txt)\n"
    assert (target / "files" / "run.conf.txt").read_text() == "a=1\n"
    assert (target / "p.svg").exists()


def test_what_an_earlier_build_laid_out_is_gone(tmp_path: Path) -> None:
    (tmp_path / "root" / "docs").mkdir(parents=True)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "old.md").write_text("old")
    lay_out(tmp_path / "root", tmp_path / "site")
    assert not (tmp_path / "site").exists() or not list((tmp_path / "site").rglob("*.md"))


def test_a_link_to_nothing_names_page_and_link(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("`[in code](gone.md)` [a](gone.md#part)")
    with pytest.raises(LinkBroken, match=r"^docs/page\.md: gone\.md#part does not exist$"):
        lay_out(tmp_path, tmp_path / "site")


@pytest.mark.parametrize("link", ["https://example.org/a.md", "#part", "mailto:someone@example.org"])
def test_links_that_lead_to_no_file_stay(tmp_path: Path, link: str) -> None:
    text = f'[a]({link} "title")'
    assert relinked(text, PurePosixPath("docs/page.md"), tmp_path) == (text, [])


def test_where_files_lie_in_the_site() -> None:
    assert placed(PurePosixPath("docs/adr/0001.md")) == PurePosixPath("adr/0001.md")
    assert placed(PurePosixPath("CHANGELOG.md")) == PurePosixPath("project/CHANGELOG.md")
    assert placed(PurePosixPath("spark-conf/k8s.conf")) == PurePosixPath("files/spark-conf/k8s.conf.txt")
