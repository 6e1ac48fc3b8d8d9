"""What loading Great Expectations brings along, each time in a process of its own."""

import json
import subprocess
import sys
from typing import Any

import pytest

LOAD = "from lockstep.quality.loading import load, loading_ahead\n"
LEFT_OUT = ("altair", "scipy.stats", "sqlalchemy", "pyspark")


def run(code: str, found: str) -> Any:
    ended = subprocess.run(
        [sys.executable, "-c", f"{LOAD}{code}\nimport json, sys; print('found', json.dumps({found}))"],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(ended.stdout.rpartition("found ")[2])


@pytest.mark.parametrize(
    "code",
    ["load()", "with loading_ahead(): load(); assert 'great_expectations.expectations' in __import__('sys').modules"],
    ids=["now", "ahead"],
)
def test_what_checks_do_not_use_is_left_out(code: str) -> None:
    assert run(code, f"[name for name in {LEFT_OUT} if name in sys.modules]") == []


def test_what_was_left_out_is_there_for_others_afterwards() -> None:
    code = (
        "load(); import great_expectations.expectations.core.expect_column_kl_divergence_to_be_less_than as module\n"
        "entropy = module.stats.entropy([0.5, 0.5]); chart = module.alt.Chart.__name__\n"
        "import scipy.stats, sqlalchemy, altair"
    )
    found = run(code, "[round(entropy, 3), chart, scipy.stats.entropy([1.0]), altair is sys.modules['altair']]")
    assert found == [0.693, "Chart", 0.0, True]


def test_other_threads_find_everything_meanwhile() -> None:
    code = "with loading_ahead():\n    import sqlalchemy\nload()"
    assert run(code, "sqlalchemy.__name__") == "sqlalchemy"


def test_filters_of_warnings_are_as_before() -> None:
    code = "import warnings; before = list(warnings.filters)\nwith loading_ahead():\n    load()"
    assert run(code, "before == warnings.filters") is True


def test_templates_are_compiled_once() -> None:
    code = (
        "load(); from lockstep.quality import pages; pages.compile_templates(); import jinja2\n"
        "made = []; jinja2.Environment._compile = lambda *args: made.append(args)\n"
        "pages.PageView().env.get_template('page.j2'); pages.IndexView().env.get_template('index_page.j2')"
    )
    assert run(code, "len(made)") == 0
