"""The picture of a run's journey, docs/images/journey.svg, which `python -m tools.docs.journey` draws from these lists.

An image of its own, not a diagram in a page: code hosts and the site show it alike, and no browser draws it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "images" / "journey.svg"
WIDTH, HEIGHT = 1000, 470
INK, SOFT, LINE = "#1e293b", "#64748b", "#94a3b8"
FILLS = {"step": "#ffedd5", "store": "#e0f2fe", "file": "#f1f5f9", "shared": "#dcfce7"}
EDGES = {"step": "#c2410c", "store": "#0369a1", "file": "#64748b", "shared": "#15803d"}


@dataclass(frozen=True)
class Box:
    """A part of the picture.

    Attributes:
        x: Left edge.
        y: Upper edge.
        width: Of the box, which is 56 high.
        kind: Decides its colour.
        title: In bold.
        text: Below the title.
        note: Below the box.
    """

    x: int
    y: int
    width: int
    kind: str
    title: str
    text: str = ""
    note: str = ""


@dataclass(frozen=True)
class Arrow:
    """A line through some points, with a head at the last one and a text beside it."""

    points: tuple[tuple[int, int], ...]
    text: str = ""
    at: tuple[int, int] = (0, 0)


STEPS = (
    ("plan", "freezes all", "plan.json"),
    ("materialize", "Spark SQL", "input/"),
    ("gate", "checks input", "gate.json"),
    ("score", "Spark, Scorer", "staging/"),
    ("audit", "checks scores", "audit.json"),
    ("publish", "one transaction", "publication.json"),
    ("report", "for people", "report.html"),
)
STEP_X, STEP_Y, STEP_WIDTH, STEP_EVERY = 32, 186, 112, 137


def _middle(step: int) -> int:
    return STEP_X + step * STEP_EVERY + STEP_WIDTH // 2


BOXES = (
    Box(18, 30, 140, "file", "scoring.yaml", "spec, SQL, checks"),
    Box(178, 30, 160, "store", "source tables", "Parquet, Iceberg, Delta"),
    Box(_middle(5) - 80, 30, 130, "store", "warehouse", "table and ledger"),
    Box(_middle(6) - 56, 30, 112, "store", "reporting", "tables"),
    *(
        Box(STEP_X + place * STEP_EVERY, STEP_Y, STEP_WIDTH, "step", title, text, note)
        for place, (title, text, note) in enumerate(STEPS)
    ),
    Box(18, 384, 140, "store", "MLflow registry", "alias, version, digest"),
    Box(_middle(3) - 85, 384, 170, "shared", "Scorer", "the same bits, both ways"),
    Box(_middle(5) - 80, 384, 160, "shared", "endpoint", "REST, gRPC"),
)
ARROWS = (
    *(
        Arrow(
            (
                (_middle(step) + STEP_WIDTH // 2, STEP_Y + 28),
                (_middle(step + 1) - STEP_WIDTH // 2, STEP_Y + 28),
            )
        )
        for step in range(len(STEPS) - 1)
    ),
    Arrow(((_middle(0), 86), (_middle(0), STEP_Y))),
    Arrow(((_middle(1) + 23, 86), (_middle(1) + 23, STEP_Y))),
    Arrow(((_middle(5), STEP_Y), (_middle(5), 86)), "a whole day, or nothing", (_middle(5) - 8, 116)),
    Arrow(((_middle(5) + 50, 58), (_middle(6) - 56, 58))),
    Arrow(((_middle(0) - 44, 384), (_middle(0) - 44, STEP_Y + 56)), "alias, once per run", (_middle(0) + 16, 352)),
    Arrow(((158, 412), (_middle(3) - 85, 412)), "artifact, once per node, verified", (286, 404)),
    Arrow(((_middle(3) - 44, 384), (_middle(3) - 44, STEP_Y + 56))),
    Arrow(((_middle(3) + 85, 412), (_middle(5) - 80, 412)), "the same code", (_middle(4), 404)),
)
FRAME = (18, 146, 964, 136)
FRAME_TITLE = "run folder: all that a run knows; each step works from it alone"


HEAD = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="system-ui, sans-serif">
<title>From the spec to the warehouse: the steps of a scoring run, and the endpoint beside them</title>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0,0 L8,4 L0,8 z" fill="{SOFT}"/></marker></defs>
<!-- A ground of its own: it is read on dark pages too. -->
<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="#ffffff"/>"""


def drawn() -> str:
    """Return the picture as SVG."""
    arrows = (line for arrow in ARROWS for line in _arrow(arrow))
    boxes = (line for box in BOXES for line in _box(box))
    return "\n".join([HEAD, *_frame(), *arrows, *boxes, "</svg>"]) + "\n"


def _frame() -> Iterator[str]:
    x, y, width, height = FRAME
    yield (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="#fafafa" stroke="{LINE}" '
        'stroke-dasharray="5 4"/>'
    )
    yield _text(x + width // 2, y + 22, FRAME_TITLE, colour=SOFT)


def _box(box: Box) -> Iterator[str]:
    middle = box.x + box.width // 2
    yield (
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="56" rx="6" fill="{FILLS[box.kind]}" '
        f'stroke="{EDGES[box.kind]}"/>'
    )
    yield _text(middle, box.y + 24, box.title, weight="600", size=14)
    yield _text(middle, box.y + 43, box.text, colour=SOFT)
    if box.note:
        yield _text(middle, box.y + 76, box.note, colour=EDGES[box.kind])


def _arrow(arrow: Arrow) -> Iterator[str]:
    points = " ".join(f"{x},{y}" for x, y in arrow.points)
    yield f'<polyline points="{points}" fill="none" stroke="{SOFT}" stroke-width="1.4" marker-end="url(#head)"/>'
    if arrow.text:
        yield _text(*arrow.at, arrow.text, colour=SOFT, anchor="end" if arrow.at[1] < 140 else "middle")


def _text(
    x: int, y: int, text: str, *, colour: str = INK, weight: str = "400", size: int = 12, anchor: str = "middle"
) -> str:
    return (
        f'<text x="{x}" y="{y}" fill="{colour}" font-weight="{weight}" font-size="{size}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(drawn(), encoding="utf-8")


if __name__ == "__main__":
    main()
