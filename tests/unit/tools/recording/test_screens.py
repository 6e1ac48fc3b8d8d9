from hypothesis import given
from hypothesis import strategies as st

from tools.recording.screens import Event, Run, Style, frames_of, shortened

GREEN = Style("green", bold=True)


def lines(*chunks: tuple[float, str]) -> list[Event]:
    return [Event(at, text.encode()) for at, text in chunks]


def test_frames_are_what_is_seen_and_how_long() -> None:
    shown = lines((0.0, "$ "), (0.5, "ls\r\n"), (2.0, "\x1b[1;32mok\x1b[0m   a.txt\r\n"), (2.0, "\x1b[?25l"))
    frames = frames_of(shown, columns=20, rows=4)
    assert [frame.seconds for frame in frames] == [0.5, 1.5, 0.0]
    assert [frame.cursor for frame in frames] == [(0, 2), (1, 0), None]
    assert frames[-1].lines[:2] == (
        (Run(0, 4, "$ ls", Style()),),
        (Run(0, 2, "ok", GREEN), Run(5, 5, "a.txt", Style())),
    )


def test_bytes_of_one_character_may_come_apart() -> None:
    tick = "✓".encode()
    events = [Event(0.0, tick[:1]), Event(0.2, tick[1:])]
    assert frames_of(events, columns=5, rows=1)[-1].lines == ((Run(0, 1, "✓", Style()),),)


def test_reversed_and_coloured_grounds_keep_their_blanks() -> None:
    frames = frames_of(lines((0.0, "\x1b[7m a \x1b[0m\x1b[48;5;196m  \x1b[0m")), columns=8, rows=1)
    reversed_run, red = frames[0].lines[0]
    assert (reversed_run.text, reversed_run.width, reversed_run.style) == (" a ", 3, Style("black", "white"))
    assert (red.text, red.style.ground) == ("  ", "ff0000")


def test_a_folder_is_shown_as_something_else() -> None:
    frames = frames_of(lines((0.0, "in /a/folder/x")), columns=30, rows=1, instead={"/a/folder": "~"})
    assert frames[0].text() == "in ~/x"


def test_a_line_at_work_runs_faster_and_ends_as_it_ended() -> None:
    turning = [(n / 10, f"\r⠋ score 0:00:{n // 10:02}") for n in range(600)]
    frames = frames_of(lines((0.0, "run\r\n"), *turning, (60.0, "\r✓ score 60.0 s\r\n")), columns=30, rows=3)
    short = shortened(frames, longest_s=1.0, most=8)
    assert sum(frame.seconds for frame in frames) > 59
    assert sum(frame.seconds for frame in short) <= 1.0 + 1e-9
    assert "0:00:59" in short[-2].text()
    assert short[-1] == frames[-1]


@given(st.lists(st.floats(0.04, 30), min_size=1, max_size=20), st.integers(2, 9))
def test_shortened_keeps_every_finished_line(waits: list[float], most: int) -> None:
    times = [sum(waits[:n]) for n in range(len(waits))]
    frames = frames_of([Event(at, b"%d\r\n" % n) for n, at in enumerate(times)], columns=9, rows=30)
    short = shortened(frames, longest_s=1.0, most=most)
    assert [frame.lines for frame in short] == [frame.lines for frame in frames]
    assert all(frame.seconds <= 1.0 for frame in short)
    assert all(kept.seconds <= seen.seconds for kept, seen in zip(short, frames, strict=True))
