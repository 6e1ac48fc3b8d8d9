"""Every kind of bad request gets its status in its protocol's own form, tells nothing, and harms nobody after it."""

import json
import re
from collections import Counter
from typing import Any

import pytest

from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.metrics import Metrics
from lockstep.serving.repository import Repository, Source
from lockstep.serving.repository_edge import repository_routes
from tests.unit.serving.bad_inference_requests import BAD_INFERENCE
from tests.unit.serving.bad_requests import BAD_INVOCATIONS, BODY_BYTES, INVOCATIONS, JSON, NUMBER, SECRET, Bad
from tests.unit.serving.test_repository import Registry
from tests.unit.serving.toy import ROW, app_of, call

BAD = (*BAD_INVOCATIONS, *BAD_INFERENCE)
# Names of Python types (but float and bytes, which are words of the protocols), and what a stack trace is made of.
INSIDE = re.compile(
    r"Traceback|File \"|\bline \d+, in\b|<class|<module|\.py\b|NoneType|\b(str|int|bool|dict|tuple)\b"
    r"|[A-Z][A-Za-z]*(Error|Exception)\b|\bArrow|pyarrow|numpy|orjson|pandas"
)
CODES = {400: "BAD_REQUEST", 404: "ENDPOINT_NOT_FOUND", 405: "BAD_REQUEST", 413: "BAD_REQUEST", 415: "BAD_REQUEST"}
GOOD = json.dumps({"dataframe_records": [ROW]}).encode()


@pytest.fixture(scope="module")
def served() -> Any:
    """One endpoint for all of them: what one leaves behind, another would meet."""
    registry, metrics = Registry(), Metrics()
    fleet = Fleet([ModelSlot("toy", "champion", current=registry.load(registry.resolve(None)))])
    plane = DataPlane(fleet, metrics=metrics, limits=Limits(body_bytes=BODY_BYTES))
    repository = Repository(fleet, {"toy": Source(registry.resolve, registry.load)}, metrics=metrics)
    yield app_of(plane, *repository_routes(plane, repository))
    plane.close()


@pytest.fixture(scope="module")
def scores(served: Any) -> bytes:
    return call(served, INVOCATIONS, GOOD, headers={"content-type": JSON}).body


def test_there_are_enough_of_them_and_each_is_another() -> None:
    assert len(BAD) >= 150
    assert not [name for name, count in Counter(bad.name for bad in BAD).items() if count > 1]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_request_is_refused_rightly(bad: Bad, served: Any, scores: bytes) -> None:
    answer = call(served, bad.path, bad.body, headers=bad.all_headers, method=bad.method)
    text = answer.body.decode()
    assert answer.status == bad.status, text
    assert answer.headers["content-type"] == JSON
    if bad.path.startswith("/v2"):
        assert answer.json().keys() == {"error"}
        message = answer.json()["error"]
    else:
        assert answer.json().keys() == {"error_code", "message"}
        assert answer.json()["error_code"] == CODES[bad.status]
        message = answer.json()["message"]
    assert bad.told in message
    assert SECRET not in text
    assert str(NUMBER) not in text
    assert not INSIDE.search(message), message
    assert len(message) < 1000
    after = call(served, INVOCATIONS, GOOD, headers={"content-type": JSON})
    assert (after.status, after.body) == (200, scores), "the next one suffers"
