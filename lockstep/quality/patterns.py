"""Regular expressions that the embedded engine (RE2) and Python read alike."""

import re

# Letters, digits and these are themselves; of escapes, only those of punctuation.
PLAIN = re.compile(
    r"""(?:
        \^(?!\*|\+|\?|\{)                    # start
      | [A-Za-z0-9 _\-:/@,;=<>!#%&~'"]       # itself
      | \\[.\-+*?()\[\]{}|/^$\\]             # escaped punctuation
      | \[\^?[A-Za-z0-9_ .:/@,\-]+\]         # a set of such
      | \((?:\?:|(?![?*+{])) | \) | \|       # groups and alternatives
      | [*+?](?![*+?{])                      # how often, greedy
      | \{\d{1,3}(?:,\d{0,3})?\}(?![*+?{])
    )*\$?""",
    re.VERBOSE,
)


def engine_pattern(regex: str) -> str | None:
    """Return the pattern for the engine, or none when the two might read it differently.

    Only what both define alike is let through: ASCII, plain sets, greedy repetition, groups, alternatives, anchors. A
    `$` is let through at the end alone, and there says what it says in Python: also before a last line break.
    """
    # Nested counts multiply, and the engine knows a limit; backslashes before a `$` are not worth a reading.
    if not regex.isascii() or regex.count("{") > 1 or regex.endswith("\\\\$") or PLAIN.fullmatch(regex) is None:
        return None
    try:
        re.compile(regex)
    except re.error:
        return None
    if regex.endswith("$") and not regex.endswith("\\$"):
        return f"{regex[:-1]}\\n?\\z"
    return regex
