from tools.docs.build import complaints

DRAWN = """\
Build started
\x1b[33mWarning:\x1b[0m anchor does not exist
   \x1b[38;5;246m╭\x1b[0m\x1b[38;5;246m─\x1b[0m\x1b[38;5;246m[\x1b[0m lost.md:3:15 \x1b[38;5;246m]\x1b[0m
   │
 3 │ [a](errors.md#nope)
WARNING -  awesome-nav: The nav item 'gone.md' doesn't match any files or directories [.nav.yml]
"""


def test_complaints_are_a_line_each() -> None:
    assert complaints(DRAWN) == [
        "lost.md:3:15: anchor does not exist",
        "WARNING -  awesome-nav: The nav item 'gone.md' doesn't match any files or directories [.nav.yml]",
    ]


def test_what_is_no_complaint_is_shown_as_it_is() -> None:
    assert complaints("Traceback\n  KeyError: 'x'\n") == ["Traceback\n  KeyError: 'x'"]
    assert complaints("") == ["zensical failed, and does not say why"]
