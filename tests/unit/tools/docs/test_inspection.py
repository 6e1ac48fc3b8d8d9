from pathlib import Path

import pytest

from tools.docs.inspection import OWN_SHIM, SHIM, contain, problems

NAVIGATION = (
    '<nav class="md-nav md-nav--primary"><ul><nav><a href="./index.html">I</a></nav><a href="a.html">A</a></ul></nav>'
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "assets" / "javascripts").mkdir(parents=True)
    write(tmp_path / "index.html", f'{NAVIGATION}<a href="sub/b.html#part">b</a>')
    write(tmp_path / "a.html", '<a href="index.html">i</a>')
    write(tmp_path / "sub" / "b.html", '<h2 id="part">Part</h2><a href="../index.html">i</a>')
    return tmp_path


def write(path: Path, body: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"<!doctype html><html><body>{body}</body></html>")


def test_a_sound_site_has_no_problems(site: Path) -> None:
    assert list(problems(site, ["index.html", "a.html"])) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="gone.html">x</a>', "a.html: gone.html: no such file"),
        ('<a href="sub/b.html#gone">x</a>', "a.html: sub/b.html#gone: no such anchor"),
        ('<a href="#gone">x</a>', "a.html: #gone: no such anchor"),
        ('<img src="gone.png">', "a.html: gone.png: no such file"),
        ('<a href="/a.html">x</a>', "a.html: /a.html: begins at the root of a server, which a page on a disk has not"),
        ('<img src="https://example.org/a.png">', "a.html: fetches https://example.org/a.png"),
        ('<script src="//example.org/a.js"></script>', "a.html: fetches //example.org/a.js"),
        ('<link rel="stylesheet" href="https://fonts.example.org/a.css">', "a.html: fetches https://fonts.example.org/a.css"),
        ('<p style="background: url(https://example.org/b.png)">', "a.html: fetches https://example.org/b.png"),
        ('<img srcset="https://example.org/c.png 2x">', "a.html: fetches https://example.org/c.png"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_page_is_told(site: Path, body: str, problem: str) -> None:
    write(site / "a.html", body)
    assert list(problems(site)) == [problem]


def test_links_that_a_reader_follows_are_no_fetches(site: Path) -> None:
    write(site / "a.html", '<a href="https://example.org/">x</a><link rel="canonical" href="https://example.org/a">')
    assert list(problems(site)) == []


def test_the_page_for_addresses_that_are_not_there_begins_at_the_root(site: Path) -> None:
    write(site / "404.html", '<a href="/sub/b.html#part">x</a><a href="/gone.html">y</a>')
    assert list(problems(site)) == ["404.html: /gone.html: no such file"]


def test_a_page_that_nobody_finds_is_told(site: Path) -> None:
    (lost,) = problems(site, ["index.html", "a.html", "sub/b.html"])
    assert lost == "sub/b.html: in no section of docs/.nav.yml, so nobody finds it"


def test_style_sheets_and_scripts_are_looked_through(site: Path) -> None:
    (site / "s.css").write_text("@import 'https://example.org/a.css'; @font-face{src:url(https://example.org/f.woff)}")
    (site / "s.js").write_text('fetch("https://example.org/x.json"); e.namespaceURI == "http://www.w3.org/2000/svg"')
    assert list(problems(site)) == [
        "s.css: fetches https://example.org/a.css",
        "s.css: fetches https://example.org/f.woff",
        "s.js: names https://example.org/x.json",
    ]


def test_loaders_of_the_theme_are_taken_out_and_the_shim_is_here(site: Path) -> None:
    (site / "assets" / "javascripts" / "bundle.js").write_text(
        'load("https://unpkg.com/mermaid@11/dist/mermaid.min.js")'
    )
    write(site / "sub" / "b.html", f'<h2 id="part"></h2><script src="{SHIM}"></script>')
    assert len(list(problems(site))) == 2
    contain(site)
    assert list(problems(site)) == []
    assert f'src="../assets/javascripts/{OWN_SHIM.name}"' in (site / "sub" / "b.html").read_text()
