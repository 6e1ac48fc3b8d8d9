"""Frames of a terminal as one SVG that plays by CSS alone: no script, no font and no picture from elsewhere.

The frames lie below each other on a film, which jumps from one to the next behind a window. Each line is drawn once.
Whoever shows no animations, or is asked not to, shows the last frame.
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from tools.recording.screens import Frame, Line, Run, Style

CELL, LEADING, SIZE = 8.0, 18, 13.2
EDGE, BAR = 14, 26
END_S = 4.0
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
INK, GROUND, FRAME, SOFT = "#d7dce2", "#161b22", "#444c56", "#8b949e"
COLOURS = {
    "black": "#484f58",
    "red": "#ff7b72",
    "green": "#56d364",
    "brown": "#e3b341",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#56d4dd",
    "white": "#c9d1d9",
    "brightblack": "#8b949e",
    "brightred": "#ffa198",
    "brightgreen": "#7ee787",
    "brightbrown": "#f2cc60",
    "brightblue": "#a5d6ff",
    "brightmagenta": "#e2c5ff",
    "brightcyan": "#76e3ea",
    "brightwhite": "#ffffff",
}


def animated_svg(frames: Sequence[Frame], *, columns: int, rows: int, title: str) -> str:
    """Draw frames.

    Args:
        frames: At least one; the last is seen some seconds longer.
        columns: Width of the terminal.
        rows: Height.
        title: What it shows, for who cannot see it.
    """
    width, height = round(columns * CELL + 2 * EDGE), rows * LEADING
    lines = list(dict.fromkeys(line for frame in frames for line in frame.lines if line))
    names = {line: f"l{number}" for number, line in enumerate(lines)}
    whole = height + BAR + EDGE
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" width="{width}" height="{whole}" '
            f'role="img" aria-label={quoteattr(title)}>'
        ),
        f"<title>{escape(title)}</title>",
        f"<style>{_style_sheet(frames, height)}</style>",
        f'<rect x=".5" y=".5" width="{width - 1}" height="{whole - 1}" rx="8" fill="{GROUND}" stroke="{FRAME}"/>',
        *(f'<circle cx="{EDGE + 4 + 14 * n}" cy="14" r="4" fill="{FRAME}"/>' for n in range(3)),
        f'<defs><rect id="c" width="{CELL:g}" height="{LEADING - 3}" y="1.5" fill="{SOFT}"/>',
        *(f'<g id="{names[line]}">{_drawn(line)}</g>' for line in lines),
        "</defs>",
        f'<svg x="{EDGE}" y="{BAR}" width="{columns * CELL:g}" height="{height}" overflow="hidden"><g class="film">',
        *(_frame(frame, names, top=number * height) for number, frame in enumerate(frames)),
        "</g></svg>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _style_sheet(frames: Sequence[Frame], height: int) -> str:
    total = sum(frame.seconds for frame in frames) + END_S
    began, steps = 0.0, []
    for number, frame in enumerate(frames):
        steps.append(f"{100 * began / total:.3f}%{{transform:translateY({-number * height}px)}}")
        began += frame.seconds
    last = f"transform:translateY({-(len(frames) - 1) * height}px)"
    return (
        f"text{{font:{SIZE}px {FONTS};fill:{INK}}}"
        f".film{{{last};animation:play {total:.2f}s step-end infinite}}"
        f"@keyframes play{{{''.join(steps)}100%{{{last}}}}}"
        "@media (prefers-reduced-motion:reduce){.film{animation:none}}"
    )


def _frame(frame: Frame, names: dict[Line, str], *, top: int) -> str:
    """Place the lines of a frame, each once drawn."""
    parts = [
        f'<use href="#{names[line]}" y="{row * LEADING}"/>' if row else f'<use href="#{names[line]}"/>'
        for row, line in enumerate(frame.lines)
        if line
    ]
    if frame.cursor is not None:
        row, column = frame.cursor
        parts.insert(0, f'<use href="#c" x="{column * CELL:g}" y="{row * LEADING}"/>')
    return f'<g transform="translate(0 {top})">{"".join(parts)}</g>'


def _drawn(line: Line) -> str:
    return "".join(_ground(run) + _text(run) for run in line)


def _ground(run: Run) -> str:
    if run.style.ground == "default":
        return ""
    place = f'x="{run.column * CELL:g}" width="{run.width * CELL:g}" height="{LEADING}"'
    return f'<rect {place} fill="{_colour(run.style.ground)}"/>'


def _text(run: Run) -> str:
    """Write a run; it is as wide as its cells, whatever font the reader has."""
    if not run.text.strip():
        return ""
    width = f' textLength="{run.width * CELL:g}" lengthAdjust="spacingAndGlyphs"'
    return f'<text x="{run.column * CELL:g}" y="13"{width}{_looks(run.style)}>{escape(run.text)}</text>'


def _looks(style: Style) -> str:
    parts = {
        "fill": "" if style.ink == "default" else _colour(style.ink),
        "font-weight": "bold" if style.bold else "",
        "font-style": "italic" if style.italic else "",
        "text-decoration": "underline" if style.underlined else "",
    }
    found = ";".join(f"{name}:{value}" for name, value in parts.items() if value)
    return f' style="{found}"' if found else ""


def _colour(name: str) -> str:
    return COLOURS.get(name, f"#{name}")
