"""The client over the real application: the same bits in both protocols, order, pieces, errors, deadlines."""

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.client import (
    AccessRefused,
    AnswerInvalid,
    Client,
    ConnectionFailed,
    DeadlineRefused,
    EndpointBusy,
    EndpointFailed,
    ModelNotServed,
    Refusal,
    RequestRefused,
    RequestTooLarge,
    RowsUnfit,
    TargetInvalid,
    VersionsDiffer,
)
from lockstep.client.client import Protocol
from lockstep.client.transport import Answered
from lockstep.run.exit_codes import exit_code
from lockstep.scoring.scorer import Scorer
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.lane import ScoringLane
from lockstep.serving.versions import LoadedVersion
from tests.unit.client.in_process import InProcess, Sent
from tests.unit.serving.conftest import MakePlane
from tests.unit.serving.toy import BLOCK_ROWS, IDENTITY, ROW, SIGNATURE, ToyBackend, app_of

PROTOCOLS: tuple[Protocol, ...] = ("v2", "mlflow")
RECORDS = st.fixed_dictionaries(
    {
        "carrier": st.none() | st.text(max_size=3).filter(lambda text: text not in {"XX", "YY"}),
        "distance": st.none() | st.floats(-1e300, 1e300) | st.just(float("nan")),
        "rate": st.none() | st.floats(width=32, allow_infinity=False),
        "seats": st.integers(-(2**31), 2**31 - 1),
        "flight": st.integers(-(2**63), 2**63 - 1),
        "wet": st.booleans(),
        "at": st.none() | st.datetimes().map(lambda moment: moment.isoformat()),
        "note": st.none() | st.text(max_size=3),
    }
)


@pytest.fixture
def wire(app: Any) -> InProcess:
    return InProcess(app)


def many(count: int) -> list[dict[str, Any]]:
    return [{**ROW, "flight": number} for number in range(count)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(records=st.lists(RECORDS, min_size=1, max_size=12))
def test_both_protocols_give_the_same_bits_for_any_rows(records: list[Any], app: Any) -> None:
    with pytest.MonkeyPatch.context() as patched:
        found = []
        for protocol in PROTOCOLS:
            client = InProcess(app).client(patched, protocol=protocol)
            found.append(client.predict(records).outputs["probability"])
    assert found[0].dtype == np.float64
    assert found[0].tobytes() == found[1].tobytes()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_prediction_says_who_made_it(protocol: Protocol, wire: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    client = wire.client(monkeypatch, protocol=protocol, token="t0ken")
    found = client.predict(many(3))
    assert (found.model, found.version, found.digest, found.answer.arm) == ("toy", "3", "d" * 64, "")
    assert found.answer.timing_ms.keys() == {"decode", "queue", "compute", "encode"}
    assert found.answer.request_id == wire.sent[-1].headers["x-request-id"]
    assert found.table.column_names == ["probability"]
    assert found.table.num_rows == 3
    assert 0 < int(wire.sent[-1].headers["x-request-timeout-ms"]) <= 60_000


def test_what_an_endpoint_serves(wire: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    client = wire.client(monkeypatch)
    assert client.ready()
    assert client.ready("toy")
    assert not client.ready("other")
    interface = client.metadata()
    assert (interface.model, interface.version, interface.versions) == ("toy", "3", ("3",))
    assert [column.name for column in interface.inputs] == SIGNATURE.names


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("most", [1, 3, 10, 11])
def test_pieces_come_back_in_order(
    most: int, protocol: Protocol, wire: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = wire.client(monkeypatch, protocol=protocol)
    whole = client.predict(many(10)).outputs["probability"]
    monkeypatch.setattr("lockstep.client.client.MOST_ROWS", most)
    found = client.predict(many(10))
    assert found.outputs["probability"].tobytes() == whole.tobytes()
    assert [answer.first_row for answer in found.answers] == list(range(0, 10, most))
    assert sum(answer.rows for answer in found.answers) == 10


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_rows_are_answered_too(protocol: Protocol, wire: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    found = wire.client(monkeypatch, protocol=protocol).predict(pa.table({name: [] for name in SIGNATURE.names}))
    assert found.table.num_rows == 0
    assert found.version == "3"


def test_pieces_that_are_too_large_are_halved(make_plane: MakePlane, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = InProcess(app_of(make_plane(Limits(body_bytes=2000))))
    client = wire.client(monkeypatch)
    found = client.predict(many(100))
    assert len(found.answers) > 1
    assert sum(answer.rows for answer in found.answers) == 100
    tiny = InProcess(app_of(make_plane(Limits(body_bytes=100)))).client(monkeypatch)
    with pytest.raises(RequestTooLarge, match="refused rows 0 to 0 of the input"):
        tiny.predict(many(2), model="toy")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_piece_that_fails_says_for_which_rows(
    protocol: Protocol, wire: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockstep.client.client.MOST_ROWS", 4)
    rows = many(10)
    rows[6]["carrier"] = "XX"
    with pytest.raises(RequestRefused) as caught:
        wire.client(monkeypatch, protocol=protocol).predict(rows)
    assert caught.value.rows == (4, 8)
    assert "refused rows 4 to 7 of the input: 1 of 4 rows cannot be scored: row 2" in str(caught.value)
    assert "its rows count from row 4" in str(caught.value)
    assert "secret" not in str(caught.value)


def swapping(plane: DataPlane, wire: InProcess) -> None:
    """Let another version take over after the first request that scores."""
    scorer = Scorer(ToyBackend(), SIGNATURE, block_rows=BLOCK_ROWS)
    asked: list[Sent] = []

    def before(sent: Sent) -> Answered | None:
        if b"carrier" in (sent.body or b""):
            asked.append(sent)
            if len(asked) == 2:
                identity = IDENTITY.model_copy(update={"version": 4, "digest": "e" * 64})
                plane.fleet.slot("toy").swap(LoadedVersion(identity, scorer, ScoringLane(scorer)))
        return None

    wire.before = before


def test_one_version_answers_all_rows(plane: DataPlane, wire: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockstep.client.client.MOST_ROWS", 4)
    swapping(plane, wire)
    client = wire.client(monkeypatch)
    assert client.predict(many(10)).version == "3"
    assert client.predict(many(10)).version == "4"
    assert client.predict(many(1), version=3).version == "3"


def test_several_versions_are_not_passed_off_as_one(
    plane: DataPlane, wire: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockstep.client.client.MOST_ROWS", 4)
    swapping(plane, wire)
    found = wire.client(monkeypatch, protocol="mlflow").predict(many(10))
    assert [answer.version for answer in found.answers] == ["3", "4", "4"]
    with pytest.raises(VersionsDiffer, match=r"toy version 3.*toy version 4"):
        _ = found.version


def refusing(status: int, **headers: str) -> Any:
    def before(sent: Sent) -> Answered | None:
        return Answered(status, headers, b'{"error": "no"}') if sent.path.endswith("/infer") else None

    return before


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, RequestRefused, 6),
        (401, AccessRefused, 4),
        (403, AccessRefused, 4),
        (404, ModelNotServed, 5),
        (413, RequestTooLarge, 6),
        (429, EndpointBusy, 75),
        (500, EndpointFailed, 4),
        (503, EndpointBusy, 75),
        (504, DeadlineRefused, 75),
        (418, EndpointFailed, 4),
    ],
)
def test_errors_have_their_kind_and_exit_code(
    status: int, kind: type[Refusal], code: int, wire: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire.before = refusing(status)
    with pytest.raises(kind) as caught:
        wire.client(monkeypatch).predict(many(1))
    error = caught.value
    assert (type(error), error.status, error.said, exit_code(error)) == (kind, str(status), "no", code)
    assert error.request_id in str(error)


def test_a_busy_endpoint_is_asked_again_under_the_same_id(wire: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    times = []

    def before(sent: Sent) -> Answered | None:
        if sent.path.endswith("/infer"):
            times.append(sent.headers["x-request-id"])
            return refusing(503, **{"retry-after": "0"})(sent) if len(times) < 3 else None
        return None

    wire.before = before
    assert wire.client(monkeypatch).predict(many(2)).version == "3"
    assert len(times) == 3
    assert len(set(times)) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"nonsense", b'{"outputs": [], "predictions": []}', b'{"outputs": 1}']
)
def test_an_answer_outside_the_protocol_is_one_error(
    body: bytes, protocol: Protocol, wire: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = re.compile(".*/(infer|invocations)")
    wire.before = lambda sent: Answered(200, {}, body) if scores.fullmatch(sent.path) else None
    with pytest.raises(AnswerInvalid, match="outside the protocol"):
        wire.client(monkeypatch, protocol=protocol).predict(many(2), model="toy")


def test_nothing_is_sent_of_rows_that_do_not_fit(wire: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RowsUnfit, match="column 'seats', row 1"):
        wire.client(monkeypatch).predict([ROW, {**ROW, "seats": "many"}], model="toy")
    assert [sent.method for sent in wire.sent] == ["GET"]


def test_what_makes_no_sense_is_refused(wire: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TargetInvalid, match="cannot name a version"):
        wire.client(monkeypatch, protocol="mlflow").predict(many(1), version=3)
    with pytest.raises(TargetInvalid, match="more than 0"):
        Client("http://h:1", timeout_s=0)
    with pytest.raises(TargetInvalid, match="protocol v2 is over http"):
        Client("grpc://h:1", protocol="v2")
    with pytest.raises(TargetInvalid, match="gRPC has no paths"):
        Client("grpc://h:1/path")


def test_a_piece_without_an_answer_says_for_which_rows(wire: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockstep.client.client.MOST_ROWS", 4)
    scored = []

    def before(sent: Sent) -> Answered | None:
        scored.extend([sent] if sent.path.endswith("/infer") else [])
        if len(scored) == 2:
            raise ConnectionFailed("http://in.process:1", problem="broke", refused=False)
        return None

    wire.before = before
    with pytest.raises(ConnectionFailed, match="broke, asked about rows 4 to 7 of the input") as caught:
        wire.client(monkeypatch).predict(many(10))
    assert (caught.value.rows, caught.value.refused, exit_code(caught.value)) == ((4, 8), False, 75)


def test_a_broken_connection_is_the_end(wire: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def before(_: Sent) -> Answered | None:
        raise ConnectionFailed("http://in.process:1", problem="broke")

    wire.before = before
    with wire.client(monkeypatch) as client, pytest.raises(ConnectionFailed):
        client.models()
    assert len(wire.sent) == 1
