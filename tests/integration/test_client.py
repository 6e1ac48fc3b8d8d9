"""The client and `lockstep predict` over real sockets: equal bits in all protocols, deadlines, TLS, interruptions."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from grpc_endpoints import ROOT, Child, child, rest, rows
from guarded import BATCH, KEY, MTLS, TLS, Served, write_files
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.client import (
    AccessRefused,
    AnswerTooLate,
    Client,
    ConnectionFailed,
    DeadlineRefused,
    EndpointBusy,
    RequestTooLarge,
    RowsUnfit,
)
from lockstep.client.client import Protocol
from lockstep.services.ports import free_port
from lockstep.serving.listening import ConnectionBounds
from lockstep.serving.security.assembly import build_security
from lockstep.specs.serving_security import ServingSecurity
from tests.unit.serving.security.issuers import authority
from tests.unit.serving.toy import ROW

PROTOCOLS: tuple[Protocol, ...] = ("v2", "mlflow", "grpc")
LIMITED: tuple[Protocol, ...] = ("v2", "grpc")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with child(tmp_path_factory.mktemp("client")) as found:
        yield found


def client_of(running: Child, protocol: Protocol, **options: Any) -> Client:
    url = f"grpc://127.0.0.1:{running.grpc}" if protocol == "grpc" else f"http://127.0.0.1:{running.http}"
    return Client(url, protocol=protocol, **options)


@pytest.fixture(scope="module")
def clients(running: Child) -> Iterator[dict[Protocol, Client]]:
    found = {protocol: client_of(running, protocol) for protocol in PROTOCOLS}
    yield found
    for each in found.values():
        each.close()


FINITE = {"allow_nan": False, "allow_infinity": False}


def arrays(kind: str, *shape: int) -> st.SearchStrategy[Any]:
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        values: Any = st.floats(width=dtype.itemsize * 8, **FINITE)  # type: ignore[arg-type]
    elif dtype.kind == "b":
        values = st.booleans()
    else:
        values = st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    size = int(np.prod(shape))
    return st.lists(values, min_size=size, max_size=size).map(lambda found: np.array(found, dtype).reshape(shape))


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    """Rows of the model that returns its inputs, of every type."""
    count = draw(st.integers(1, 5))
    texts = st.text(max_size=4)
    words = st.lists(st.lists(texts, min_size=2, max_size=2), min_size=count, max_size=count)
    return {
        "text": draw(st.lists(texts, min_size=count, max_size=count)),
        "number": draw(arrays("f8", count)),
        "rate": draw(arrays("f4", count)),
        "seats": draw(arrays("i4", count)),
        "flight": draw(arrays("i8", count)),
        "wet": draw(arrays("?", count)),
        "picture": draw(arrays("f4", count, 2, 3)),
        "halves": draw(arrays("f2", count, 2)),
        "codes": draw(arrays("u1", count, 3)),
        "words": draw(words),
    }


@settings(max_examples=40, deadline=None)
@given(table=tables())
def test_every_value_comes_back_as_it_went_in_every_protocol(
    table: dict[str, Any], clients: dict[Protocol, Client]
) -> None:
    for client in clients.values():
        outputs = client.predict(table, model="echo").outputs
        for name, sent in table.items():
            got = outputs[f"{name}_out"]
            if isinstance(sent, np.ndarray):
                assert got.dtype == sent.dtype
                assert got.tobytes() == sent.tobytes()
            else:
                assert got.tolist() == sent


def test_all_protocols_give_the_bits_of_the_endpoint(running: Child, clients: dict[Protocol, Client]) -> None:
    given = rows(1000)
    plain = [{**row, "distance": None if np.isnan(row["distance"]) else row["distance"]} for row in given]
    status, answer = rest(running, "/endpoints/toy/invocations", {"dataframe_records": plain})
    assert status == 200
    expected = np.array([record["probability"] for record in answer["predictions"]])
    for client in clients.values():
        found = client.predict(given, model="toy")
        assert found.outputs["probability"].tobytes() == expected.tobytes()
        assert (found.version, found.digest) == ("3", f"{3:064x}")
        assert found.answer.timing_ms.keys() == {"decode", "queue", "compute", "encode"}


def test_one_client_is_used_by_several_threads(clients: dict[Protocol, Client]) -> None:
    given = rows(64)
    whole = clients["v2"].predict(given, model="toy").outputs["probability"]

    def ask(number: int) -> bool:
        client, row = clients[PROTOCOLS[number % 3]], number % 64
        found = client.predict(given[row : row + 1], model="toy").outputs["probability"]
        return bool(found[0] == whole[row])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(300)))


def test_missing_texts_go_where_the_protocol_has_a_form_for_them(clients: dict[Protocol, Client]) -> None:
    given = [{**ROW, "carrier": None}, ROW]
    assert (
        clients["v2"].predict(given, model="toy").outputs["probability"].tobytes()
        == clients["mlflow"].predict(given, model="toy").outputs["probability"].tobytes()
    )
    with pytest.raises(RowsUnfit, match="column 'carrier', row 0: is missing, for which gRPC has no form"):
        clients["grpc"].predict(given, model="toy")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody_waits_beyond_the_deadline(protocol: Protocol, running: Child) -> None:
    with client_of(running, protocol, timeout_s=0.3) as client:
        client.predict({"seconds": [0.0]}, model="sleep")
        began = time.monotonic()
        with pytest.raises((AnswerTooLate, DeadlineRefused)):
            client.predict({"seconds": [0.6]}, model="sleep")
        assert time.monotonic() - began < 0.6
    time.sleep(0.4)  # the next one finds the model free


def test_limits_of_an_endpoint_are_met(tmp_path: Path) -> None:
    given = rows(3000)
    with child(tmp_path, "--in-progress", "1", "--body-bytes", "20000") as small:
        for protocol in LIMITED:
            with client_of(small, protocol) as client, client_of(small, "v2") as other, ThreadPoolExecutor(1) as pool:
                assert client.predict(given[:1], model="toy").version == "3"
                taken = pool.submit(other.predict, {"seconds": [0.6]}, model="sleep")
                time.sleep(0.3)
                with client_of(small, protocol, timeout_s=0.5) as hasty, pytest.raises((EndpointBusy, AnswerTooLate)):
                    hasty.predict(given[:1], model="toy")
                found = client.predict(given, model="toy")  # busy for a moment, and each request too large at first
                assert taken.result().version == "3"
                assert sum(answer.rows for answer in found.answers) == len(given)
                assert len(found.answers) > 1
                with pytest.raises(RequestTooLarge):
                    client.predict([{**ROW, "note": "x" * 6_000_000}], model="toy")


def test_nobody_listens() -> None:
    port = free_port()
    for url in (f"http://127.0.0.1:{port}", f"grpc://127.0.0.1:{port}"):
        with Client(url, timeout_s=20) as client, pytest.raises(ConnectionFailed) as caught:
            client.models()
        assert caught.value.refused


def test_a_connection_that_was_closed_meanwhile_is_opened_again() -> None:
    with Served(bounds=ConnectionBounds(idle_s=1)) as served, Client(f"http://127.0.0.1:{served.port}") as client:
        first = client.predict([ROW], model="churn")
        time.sleep(1.5)
        again = client.predict([ROW], model="churn")
        assert again.outputs["probability"].tobytes() == first.outputs["probability"].tobytes()


def test_keys_and_certificates(tmp_path: Path) -> None:
    folder = write_files(tmp_path)
    certificate, key = BATCH.write(folder, "batch")
    (folder / "roots.pem").write_bytes(authority("ca").pem())
    roots, mtls = folder / "roots.pem", {**MTLS, "clients": []}
    facts = {"api_keys": "keys.yaml", "tls": TLS, "mtls": mtls, "rate_limit": {"requests_per_s": 1000}}
    security = build_security(ServingSecurity.model_validate(facts), folder=folder)
    with Served(security) as served:
        url, own = f"https://localhost:{served.port}", {"certificate": Path(certificate), "key": Path(key)}
        for secret in ({"token": KEY}, {"api_key": KEY}):
            with Client(url, ca=roots, **own, **secret) as client:
                assert client.predict([ROW], model="churn").version == "3"
        with Client(url, ca=roots, **own) as client, pytest.raises(AccessRefused, match="status 401"):
            client.predict([ROW], model="churn")
        with Client(url, ca=roots, timeout_s=5) as client, pytest.raises(ConnectionFailed):
            client.models()
        with Client(url, timeout_s=5) as client, pytest.raises(ConnectionFailed, match="is not trusted"):
            client.models()
    with (
        child(tmp_path, "--tls", str(folder), "--mutual") as secured,
        Client(f"grpcs://localhost:{secured.grpc}", ca=roots, **own) as client,
    ):
        assert client.predict([ROW], model="toy").version == "3"


def predict(url: str, *args: str) -> list[str]:
    return [sys.executable, "-m", "lockstep", "predict", url, "--model", "toy", *args]


def test_predict_in_a_pipe(running: Child, clients: dict[Protocol, Client], tmp_path: Path) -> None:
    given = rows(300)
    expected = clients["grpc"].predict(given, model="toy").outputs["probability"].tolist()
    columns = {name: [row[name] for row in given] for name in ROW}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    url = f"grpc://127.0.0.1:{running.grpc}"
    with (tmp_path / "rows.parquet").open("rb") as stream:
        done = subprocess.run(predict(url), stdin=stream, capture_output=True, cwd=ROOT, timeout=60, check=True)
    assert [json.loads(line)["probability"] for line in done.stdout.splitlines()] == expected
    assert done.stderr.decode().strip() == "300 rows by toy version 3, digest 000000000000"


def test_predict_ends_quietly_when_nobody_reads_on(running: Child, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text((json.dumps(ROW) + "\n") * 40_000)
    command = predict(f"http://127.0.0.1:{running.http}", str(tmp_path / "rows.jsonl"), "--with-inputs")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["carrier"] == "UA"
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


def test_predict_leaves_nothing_when_it_is_interrupted(running: Child, tmp_path: Path) -> None:
    command = predict(f"http://127.0.0.1:{running.http}", "--output", f"csv={tmp_path}/out.csv")
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        # Who runs tests in the background of a shell has Ctrl-C ignored, and so would the child.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write((json.dumps(ROW).encode() + b"\n") * 15_000)
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not (found := list(tmp_path.glob(".out.csv.*.part"))) or not found[0].stat().st_size:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert b"Traceback" not in process.stderr.read()
        process.stdin.close()
    assert list(tmp_path.iterdir()) == []
