from xml.etree import ElementTree as ET

from lockstep.steps import STEPS
from tools.docs import journey


def test_the_picture_in_docs_is_the_one_that_is_drawn() -> None:
    assert journey.PICTURE.read_text(encoding="utf-8") == journey.drawn(), "python -m tools.docs.journey draws it anew"


def test_the_picture_has_every_step_of_an_ordinary_run_in_order() -> None:
    drawn = [title for title, _, _ in journey.STEPS]
    assert drawn == ["plan", *(name for name, step in STEPS.items() if not step.on_trial and name != "canary")]


def test_the_picture_fetches_nothing_and_lies_within_its_frame() -> None:
    picture = ET.fromstring(journey.drawn())
    boxes = [element for element in picture.iter() if element.tag.endswith("rect")]
    assert all(float(box.get("x", 0)) + float(box.get("width", 0)) <= journey.WIDTH for box in boxes)
    assert all(float(box.get("y", 0)) + float(box.get("height", 0)) <= journey.HEIGHT for box in boxes)
    assert not [element for element in picture.iter() if any("href" in name for name in element.attrib)]
