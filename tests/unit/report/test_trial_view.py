"""The report's section on challengers."""

import datetime as dt
import html.parser
from pathlib import Path

from lockstep.report.facts import read_facts
from lockstep.report.page import render
from lockstep.report.trial_view import SHOWN, percent, trial_view
from lockstep.run.comparison import Comparison, SegmentShift
from lockstep.run.folder import COMPARISON
from lockstep.run.trials import end_trial, failure_of
from lockstep.specs.spec import ScoringSpec
from lockstep.steps.canary import canary
from lockstep.steps.compare import compare
from tests.unit.steps import canaries
from tests.unit.steps.canaries import later_risk
from tests.unit.steps.runs import SPEC, make_settings
from tests.unit.steps.trials import NEXT, TRIAL, make_trial

FACTS = {
    "run_key": "k",
    "partition": dt.date(2024, 3, 5),
    "alias": NEXT,
    "version": 2,
    "digest": "d",
    "champion_version": 1,
    "champion_digest": "c",
    "rows_in": 100,
    "tolerance": 0.01,
}


def shift(value: str | None, by: float) -> SegmentShift:
    return SegmentShift(column="depot", value=value, rows=3, champion_mean=0.5, challenger_mean=0.5 + by)


def spec(**trial: object) -> ScoringSpec:
    return ScoringSpec.model_validate({**SPEC, "trial": {**TRIAL, **trial}})


def test_the_largest_shifts_come_first_and_the_rest_is_counted() -> None:
    shifts = (*(shift(f"d{i}", i / 100) for i in range(SHOWN)), shift(None, -0.4), shift("<b>", 0.3))
    (one,) = trial_view([Comparison(**FACTS, compared=90, agreement=0.99999, segments=shifts)], spec())
    assert [row.value for row in one.segments[:3]] == ["null", "<b>", f"d{SHOWN - 1}"]
    assert [row.shift for row in one.segments[:2]] == ["-0.4", "+0.3"]
    assert (len(one.segments), one.further) == (SHOWN, 2)
    assert ("Rows compared", "90 of 100") in one.figures
    assert percent(0.99999) == "99.99 %"
    assert percent(1.0) == "100 %"


def test_a_column_without_segments_is_named() -> None:
    (one,) = trial_view([Comparison(**FACTS, compared=90, agreement=1.0)], spec())
    assert one.not_split == ("depot",)
    (none,) = trial_view([Comparison(**FACTS)], spec())
    assert none.not_split == ()


class Tags(html.parser.HTMLParser):
    """Checks that tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "br", "wbr", "rect", "line", "path", "circle"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and tag not in {"meta", "br", "wbr", "rect", "line", "path", "circle"}:
            assert self.open.pop() == tag


def test_the_page_has_a_section_for_challengers(tmp_path: Path) -> None:
    trial = {"challengers": [{"alias": NEXT}, {"alias": "lost"}], "segments": ["depot"]}
    folder = make_trial(tmp_path, trial=trial)
    end_trial(folder.challenger("lost"), failure_of("lost", "score", "a <b>bad</b> artifact", model=None))
    compare(folder, make_settings(tmp_path))
    text = render(read_facts(folder), now=dt.datetime.now(dt.UTC))
    assert Tags(text).open == []
    section = text[text.index('id="trial"') : text.index('id="checks"')]
    for word in ("next, version 2", "Mean difference", "<code>depot</code> N", "a &lt;b&gt;bad&lt;/b&gt; artifact"):
        assert word in section
    assert section.index("next, version 2") < section.index("lost")
    folder.challenger(NEXT).write_json(COMPARISON, {"of": "another version"})
    assert "next, version 2" not in render(read_facts(folder), now=dt.datetime.now(dt.UTC))


def test_a_canary_says_who_answers_for_how_much_or_why_nobody_does(tmp_path: Path) -> None:
    for challenger, told in ((later_risk, "answers for"), (None, "canary aborted")):
        folder = canaries.make_trial(tmp_path / told.replace(" ", "-"), fraction=0.3, challenger=challenger)
        done = canary(folder, make_settings(tmp_path))
        text = render(read_facts(folder), now=dt.datetime.now(dt.UTC))
        assert told in text
        Tags(text)
        rows = f"{done['rows_challenger']:,} of {done['rows_champion'] + done['rows_challenger']:,} published"
        assert (rows if challenger else "it was out of memory") in text
