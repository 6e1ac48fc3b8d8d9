"""Data docs: the pages that Great Expectations writes of a suite and its results, made to be read without a network."""

import copy
import datetime as dt
import html
import re
import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

# What is left out: animations of a tutorial (3.3 of the 4 MB of a site).
TUTORIAL_IMAGES = ("glossary_scroller.gif", "validation_failed_unexpected_values.gif", "iterative-dev-loop.png")
# Style sheets, scripts and images that a page would fetch from elsewhere.
ELSEWHERE = re.compile(
    r"""<link\b[^>]*\bhref=["']https?://[^>]*>|<script\b[^>]*\bsrc=["']https?://[^>]*>\s*</script>"""
    r"""|<img\b[^>]*\bsrc=["']https?://[^>]*>""",
    re.IGNORECASE,
)
# What is left of scripts needs jQuery from elsewhere; nothing that they do is missed.
SCRIPT = re.compile(r"<script\b[^>]*>.*?</script>", re.IGNORECASE | re.DOTALL)
# Great Expectations looks for it in a folder that is not there.
ICON = re.compile(r"""<link\b[^>]*\brel=["']shortcut icon["'][^>]*>""", re.IGNORECASE)
BACKGROUND = re.compile(r"""url\(["']?https?://[^)]*\)""", re.IGNORECASE)
STYLE = "data_docs.css"
# Great Expectations' own first page lists the results by a script from elsewhere: offline it is empty.
WAY_IN = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="UTF-8"><title>Data docs: {name}</title><meta http-equiv="refresh" content="0; url={page}"></head>
<body><a href="{page}">Results of the suite {name}</a></body>
</html>
"""


def write_docs(results: Sequence[Any], expectations: Sequence[Any], *, name: str, docs: Path, at: dt.datetime) -> None:
    """Write the site of one validated suite.

    Args:
        results: A validation result for each expectation.
        expectations: The suite.
        name: Of the suite.
        docs: Folder of the site, replaced.
        at: Time that it shows.
    """
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.suites.add(gx.ExpectationSuite(name, expectations=[copy.copy(one) for one in expectations]))
    _store(context, _outcome(results, name=name, at=at), name=name, at=at)
    shutil.rmtree(docs, ignore_errors=True)
    site: Any = {
        "class_name": "SiteBuilder",
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "view": _view("IndexView")},
        "site_section_builders": {
            "expectations": {"view": _view("PageView")},
            "validations": {"view": _view("PageView")},
            "profiling": "None",  # what turns a section off
        },
        "show_how_to_buttons": False,
    }
    context.add_data_docs_site(name, site)
    context.build_data_docs(site_names=[name])
    for image in TUTORIAL_IMAGES:
        (docs / "static" / "images" / image).unlink(missing_ok=True)
    for page in docs.rglob("*.html"):
        page.write_text(offline(page.read_text(encoding="utf-8")), encoding="utf-8")
    (results_page,) = docs.glob("validations/**/*.html")
    way_in = WAY_IN.format(name=html.escape(name), page=quote(results_page.relative_to(docs).as_posix()))
    (docs / "index.html").write_text(way_in, encoding="utf-8")


def _view(name: str) -> dict[str, str]:
    return {"module_name": "lockstep.quality.pages", "class_name": name}


def _outcome(results: Sequence[Any], *, name: str, at: dt.datetime) -> Any:
    from great_expectations import __version__
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.validator.validation_statistics import calc_validation_statistics

    counted = calc_validation_statistics(list(results))
    return ExpectationSuiteValidationResult(
        results=list(results),
        success=bool(counted.success),
        suite_name=name,
        statistics={key: value for key, value in counted._asdict().items() if key != "success"},
        meta={
            "great_expectations_version": __version__,
            "run_id": RunIdentifier(run_name=name, run_time=at),
            "validation_time": at,
            "batch_spec": {},
            "active_batch_definition": {"data_asset_name": f"rows of the {name}"},
        },
    )


def _store(context: Any, outcome: Any, *, name: str, at: dt.datetime) -> None:
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    run = RunIdentifier(run_name=name, run_time=at)
    key = ValidationResultIdentifier(ExpectationSuiteIdentifier(name), run_id=run, batch_identifier="rows")
    context.validation_results_store.add(key=key, value=outcome)


def offline(page: str) -> str:
    """Return a page that fetches nothing: what it linked elsewhere is gone, and one style sheet stands in its place."""
    style = files("lockstep.quality").joinpath(STYLE).read_text(encoding="utf-8")
    bare = ICON.sub("", SCRIPT.sub("", BACKGROUND.sub("none", ELSEWHERE.sub("", page))))
    return bare.replace("</head>", f"<style>\n{style}</style>\n</head>", 1)
