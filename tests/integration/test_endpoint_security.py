"""The endpoint's security over REST: real keys, certificates and connections, also while they change."""

import contextlib
import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from endpoints import serving
from guarded import BATCH, KEY, MTLS, OTHER, STRANGER, TLS, Served, until, write_files
from world import World

from lockstep.serving.security.api_keys import entry_text, new_api_key
from lockstep.serving.security.assembly import build_security
from lockstep.specs.serving_security import ServingSecurity
from tests.unit.serving.security.issuers import Certified, authority, issued

OTHERS = {**MTLS, "others": {"models": "churn"}}
PATH = "/models/churn/who"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path)


@contextlib.contextmanager
def rest(folder: Path, **facts: Any) -> Iterator[int]:
    security = build_security(ServingSecurity.model_validate({"tls": TLS, **facts}), folder=folder)
    with Served(security) as served:
        yield served.port


def client_context(folder: Path, own: Certified | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority("ca").pem().decode())
    if own is not None:
        context.load_cert_chain(*own.write(folder, "client"))
    return context


def connected(port: int, folder: Path, own: Certified | None = None) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection("127.0.0.1", port, context=client_context(folder, own), timeout=10)


def ask(port: int, folder: Path, own: Certified | None = None, *, path: str = PATH, **headers: str) -> str:
    """Return the client's name, or the status of another answer, or `refused` when there was no connection."""
    connection = connected(port, folder, own)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
        except (OSError, http.client.HTTPException):
            return "refused"
        return response.read().decode() if response.status == 200 else str(response.status)


def test_keys_over_tls(folder: Path) -> None:
    with rest(folder, api_keys="keys.yaml") as port:
        assert ask(port, folder, x_api_key=KEY) == "by-key"
        assert ask(port, folder, authorization=f"Bearer {KEY}") == "by-key"
        assert ask(port, folder, x_api_key=KEY, path="/models/other/who") == "403"
        assert ask(port, folder, x_api_key=KEY, authorization=f"Bearer {KEY}") == "401"
        assert ask(port, folder, authorization="Bearer ä") == "401"
        assert ask(port, folder) == "401"
        assert ask(port, folder, path="/v2/health/live") == '{"live":true}'


def test_several_headers_of_one_name_are_seen(folder: Path) -> None:
    with rest(folder, api_keys="keys.yaml") as port:
        connection = connected(port, folder)
        with contextlib.closing(connection):
            connection.putrequest("GET", PATH)
            for _ in range(2):
                connection.putheader("Authorization", f"Bearer {KEY}")
            connection.endheaders()
            assert connection.getresponse().status == 401


def test_certificates_of_clients_gate_connections_and_give_the_rights_of_others(folder: Path) -> None:
    with rest(folder, api_keys="keys.yaml", mtls=OTHERS) as port:
        assert ask(port, folder, BATCH) == "batch"
        assert ask(port, folder, OTHER) == "spiffe://example/other"
        assert ask(port, folder, BATCH, path="/models/other/who") == "403"
        assert ask(port, folder, BATCH, x_api_key=KEY) == "by-key"
        assert ask(port, folder, BATCH, x_api_key="lsk_wrong") == "401"
        for refused in (None, STRANGER, issued("clients", "old", days=-1), issued("clients", "x", server=True)):
            assert ask(port, folder, refused, x_api_key=KEY) == "refused"


def test_without_rights_of_others_only_listed_certificates_have_some(folder: Path) -> None:
    with rest(folder, api_keys="keys.yaml", mtls=MTLS) as port:
        assert ask(port, folder, BATCH) == "batch"
        assert ask(port, folder, OTHER) == "401"
        assert ask(port, folder, BATCH, x_api_key=KEY) == "by-key"


def test_a_certificate_that_need_not_be_shown_is_checked_when_it_is(folder: Path) -> None:
    with rest(folder, api_keys="keys.yaml", mtls={"ca": "ca.pem", "require": False}) as port:
        assert ask(port, folder, None, x_api_key=KEY) == "by-key"
        assert ask(port, folder, BATCH, x_api_key=KEY) == "by-key"
        assert ask(port, folder, BATCH) == "401"
        assert ask(port, folder, STRANGER, x_api_key=KEY) == "refused"


@pytest.mark.parametrize(("minimum", "answer"), [("1.2", "by-key"), ("1.3", "refused")])
def test_old_versions_are_refused(folder: Path, minimum: str, answer: str) -> None:
    with rest(folder, api_keys="keys.yaml", tls={**TLS, "minimum": minimum}) as port:
        context = client_context(folder, None)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
        with contextlib.closing(connection):
            try:
                connection.request("GET", PATH, headers={"X-API-Key": KEY})
                found = connection.getresponse().read().decode()
            except ssl.SSLError:
                found = "refused"
        assert found == answer


def test_keys_and_authorities_change_while_it_runs(folder: Path) -> None:
    with rest(folder, api_keys="keys.yaml", mtls=OTHERS) as port:
        assert ask(port, folder, BATCH, x_api_key=KEY) == "by-key"
        other, entry = new_api_key("renewed", models=["churn"])
        renewed = issued("clients-2", uris=["spiffe://example/batch"])
        (folder / "keys.yaml").write_text("keys:\n" + entry_text(entry))
        (folder / "ca.pem").write_bytes(authority("clients-2").pem())
        until(lambda: ask(port, folder, renewed, x_api_key=other) == "renewed")
        assert ask(port, folder, renewed, x_api_key=KEY) == "401"
        until(lambda: ask(port, folder, BATCH, x_api_key=other) == "refused")


def shown(port: int, folder: Path) -> bytes | None:
    connection = connected(port, folder)
    with contextlib.closing(connection):
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        return connection.sock.getpeercert(binary_form=True)


def presented(port: int, folder: Path) -> bytes | None:
    try:
        return shown(port, folder)
    except OSError:
        return None


def test_a_renewed_certificate_costs_no_request_that_has_begun(folder: Path) -> None:
    answers: list[str] = []
    with rest(folder, api_keys="keys.yaml") as port:
        kept = connected(port, folder)
        kept.request("GET", "/slow")
        renewed = issued("ca", "server-2", server=True)
        renewed.write(folder, "server")
        while presented(port, folder) != renewed.der():
            answers.append(ask(port, folder, x_api_key=KEY))
        answers += [ask(port, folder, x_api_key=KEY) for _ in range(5)]
        with contextlib.closing(kept):
            assert kept.getresponse().read() == b"done"
    # A connection that was being opened at the very moment is closed, like an idle one.
    assert answers.count("refused") <= 1
    assert set(answers) <= {"by-key", "refused"}


def test_a_certificate_that_cannot_be_used_changes_nothing(folder: Path, caplog: Any) -> None:
    with rest(folder, api_keys="keys.yaml") as port:
        before = shown(port, folder)
        (folder / "server.key").write_bytes(issued("ca", "another", server=True).key_pem())
        until(lambda: "changed files are not used" in caplog.text)
        assert (shown(port, folder), ask(port, folder, x_api_key=KEY)) == (before, "by-key")


def test_who_never_shakes_hands_keeps_nobody_waiting(folder: Path) -> None:
    with rest(folder, api_keys="keys.yaml") as port, contextlib.ExitStack() as stack:
        security = build_security(ServingSecurity.model_validate({"tls": TLS}), folder=folder)
        served = stack.enter_context(Served(security))
        for _ in range(50):
            stack.enter_context(served.connect())
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(ask(served.port, folder, path="/v2/health/live")))
        thread.start()
        thread.join(5)
        assert found == ['{"live":true}']
        assert ask(port, folder, x_api_key=KEY) == "by-key"


def test_lockstep_serve_protects_what_its_configuration_says(world: World, folder: Path) -> None:
    made = world.run("key", "new", "portal", "--model", "churn", "--file", str(folder / "keys.yaml"))
    assert made.returncode == 0, made.stderr
    key, config = made.stdout.strip(), folder / "serving.yaml"
    security = {"api_keys": "keys.yaml", "tls": TLS, "audit": {"file": "audit.jsonl"}}
    config.write_text(json.dumps({"host": "0.0.0.0", "models": [{"spec": "churn"}], "security": security}))
    with serving(world, "--config", str(config), spec=None) as endpoint:
        assert endpoint.url.startswith("https://")
        port = endpoint.address[1]
        assert json.loads(ask(port, folder, path="/v2/models/churn", x_api_key=key))["name"] == "churn"
        assert ask(port, folder, path="/v2/models/churn") == "401"
        assert ask(port, folder, path="/v2/models/other", x_api_key=key) == "403"
        until(lambda: (folder / "audit.jsonl").read_text().count("\n") == 2)
        assert key not in endpoint.log.read_text() + (folder / "audit.jsonl").read_text()


def test_other_machines_are_not_let_in_by_accident(world: World) -> None:
    done = world.run("serve", "churn", "--port", "0", "--host", "0.0.0.0")
    assert done.returncode == 4
    assert "does not start on '0.0.0.0'" in done.stderr
    assert "security.api_keys" in done.stderr
