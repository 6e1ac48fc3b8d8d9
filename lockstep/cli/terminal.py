"""What rich writes to: with colours where there is a terminal (or `FORCE_COLOR`), and never with `NO_COLOR`."""

import os
from typing import Any

from rich.console import Console


def rich_console(**options: Any) -> Console:
    """Return a console of rich; `NO_COLOR` takes away all styles, of which rich by itself leaves bold and dim.

    Args:
        options: Of rich's own.
    """
    if os.environ.get("NO_COLOR"):
        options["color_system"] = None
    return Console(highlight=False, **options)
