"""The end of a command's help: commands to copy. A test gives each to the real parser."""

TITLE = "Examples:"


def examples(*lines: str) -> str:
    """Return the end of a command's help.

    Args:
        lines: Whole command lines, with what comes before a pipe and after a `>`.
    """
    return "\n\n".join([TITLE, *lines])


def lines_of(epilog: str | None) -> list[str]:
    """Return the command lines of the end of a command's help."""
    parts = (epilog or "").split("\n\n")
    return parts[parts.index(TITLE) + 1 :] if TITLE in parts else []
