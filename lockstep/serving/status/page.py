"""The page: HTML that needs no script and no other file, and that may load none."""

import base64
import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from lockstep.serving.exchange import Headers
from lockstep.serving.status.figures import STAGES, Figures

REFRESH_S = 10
STYLE = files("lockstep.serving.status").joinpath("status.css").read_text(encoding="utf-8")
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
# Whatever a model is called, nothing of the page runs, loads or is sent anywhere.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS: Headers = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
)


def render(found: Figures, *, refreshing: bool) -> bytes:
    """Write the page.

    Args:
        found: What it tells.
        refreshing: Whether a browser loads it again by itself.
    """
    stages = list(dict.fromkeys([*STAGES, *(s for m in found["models"] for t in m["traffic"] for s in t["stages_ms"])]))
    page = _template().render(
        **found, style=STYLE, state=_state(found["server"]), stages=stages, refresh_s=REFRESH_S if refreshing else None
    )
    return page.encode()


def _state(server: Figures) -> tuple[str, str]:
    """Return how the endpoint is, in a word for the style and in words for a person."""
    if not server["live"]:
        return "bad", "A model is stuck"
    if server["stopping"]:
        return "warn", "Stopping"
    return ("good", "Ready") if server["ready"] else ("warn", "A model is not loaded")


@cache
def _template() -> Template:
    env = Environment(
        loader=PackageLoader("lockstep.serving.status"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["count"] = lambda value: f"{int(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    env.filters["ms"] = _ms
    env.filters["moment"] = lambda text: text.replace("T", " ").replace("+00:00", " UTC")
    return env.get_template("status.html.j2")


def _ms(value: float | None) -> str:
    """Write milliseconds with about three digits; of none is known only that it is more than the histogram shows."""
    if value is None:
        return "beyond the histogram"
    if value >= 1000:
        return f"{value / 1000:.3g} s"
    return f"{value:.3g} ms" if value < 100 else f"{value:.0f} ms"
