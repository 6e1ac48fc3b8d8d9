import re
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from tools.recording.screens import Event, frames_of
from tools.recording.svg import END_S, animated_svg
from tools.recording.tutorial import PICTURE, TITLE

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*texts: str) -> str:
    frames = frames_of([Event(float(n), text.encode()) for n, text in enumerate(texts)], columns=20, rows=3)
    return animated_svg(frames, columns=20, rows=3, title="A <shell> & more")


def refers_elsewhere(picture: str) -> list[str]:
    """What a browser would fetch, or run."""
    root = ET.fromstring(picture)
    links = [value for each in root.iter() for name, value in each.items() if name.endswith(("href", "src"))]
    scripts = [each.tag for each in root.iter() if each.tag.removeprefix(SVG) in {"script", "image", "foreignObject"}]
    return [*(link for link in links if not link.startswith("#")), *scripts, *re.findall(r"url\(|@import", picture)]


def test_a_line_is_drawn_once_and_placed_in_each_frame() -> None:
    root = ET.fromstring(drawn("$ ", "ls\r\n", "a & <b>\r\n"))
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert texts == ["$", "$ ls", "a & <b>"]
    film = root.find(f".//{SVG}g[@class='film']")
    assert film is not None
    assert [frame.get("transform") for frame in film] == ["translate(0 0)", "translate(0 54)", "translate(0 108)"]
    places = [[use.get("href") for use in frame if use.get("href") != "#c"] for frame in film]
    assert places == [["#l0"], ["#l1"], ["#l1", "#l2"]]


def test_steps_last_as_long_as_their_frames_and_the_end_is_what_stays() -> None:
    picture = drawn("a", "b", "c")
    assert f"animation:play {2 + END_S:.2f}s step-end infinite" in picture
    assert re.findall(r"([\d.]+)%\{transform:translateY\((-?\d+)px\)", picture) == [
        ("0.000", "0"), ("16.667", "-54"), ("33.333", "-108"), ("100", "-108"),
    ]  # fmt: skip
    assert ".film{transform:translateY(-108px);" in picture
    assert "@media (prefers-reduced-motion:reduce){.film{animation:none}}" in picture


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])), min_size=1, max_size=5))
def test_whatever_is_shown_is_well_formed_and_asks_for_nothing(texts: list[str]) -> None:
    assert refers_elsewhere(re.sub(r">[^<]*</text>", "></text>", drawn(*texts))) == []
    ET.fromstring(drawn(*texts))


def test_the_recording_of_the_documentation_is_small_and_asks_for_nothing() -> None:
    picture = PICTURE.read_text(encoding="utf-8")
    assert len(picture.encode()) < 300_000
    assert refers_elsewhere(picture) == []
    assert ET.fromstring(picture).get("aria-label") == TITLE
