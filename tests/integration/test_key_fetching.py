"""An identity provider that serves its keys over real sockets, and misbehaves."""

import contextlib
import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guarded import started, until, write_files

from lockstep.serving.security.assembly import Security
from lockstep.serving.security.credentials import credentials_from_headers
from lockstep.serving.security.errors import SignersUnknown, Unauthenticated
from lockstep.serving.security.key_fetching import fetch_document
from tests.unit.serving.security.issuers import AUDIENCE, CLAIMS, GRANT, ISSUER, authority, key_set, signer
from tests.unit.serving.toy import Headers

FRESH = {**CLAIMS, "exp": 2_000_000_000, "iat": 1_700_000_000}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path)


class Provider:
    """Serves a key set, or misbehaves."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.document = key_set(signer("a"))
        self.mode = "answer"
        self.fetches = 0
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.fetches += self.path == "/keys"
                provider._answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://localhost:{self._server.server_port}/keys"

    def _answer(self, request: Any) -> None:
        if self.mode == "redirect" and request.path == "/keys":
            request.send_response(302)
            request.send_header("Location", "/elsewhere")
            request.end_headers()
            return
        request.send_response(503 if self.mode == "down" else 200)
        request.end_headers()
        if self.mode == "silent":
            time.sleep(3)
        with contextlib.suppress(OSError):
            if self.mode == "drip":
                for _ in range(100):
                    request.wfile.write(b" ")
                    time.sleep(0.05)
            if self.mode == "endless":
                for _ in range(1000):
                    request.wfile.write(b" " * 2**16)
            request.wfile.write(self.document)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


def jwt_facts(url: str, **facts: Any) -> dict[str, Any]:
    return {"issuer": ISSUER, "audience": AUDIENCE, "grants": [GRANT], "jwks_url": url, **facts}


def name_of(security: Security, key_id: str) -> str:
    sent = credentials_from_headers(Headers({"authorization": f"Bearer {signer(key_id).token(FRESH)}"}), peer="::1")
    try:
        return security.guard.admit(sent, action="infer", model="churn").name
    except (Unauthenticated, SignersUnknown) as error:
        return type(error).__name__


def test_keys_are_fetched_and_followed(folder: Path, provider: Provider, monkeypatch: Any) -> None:
    monkeypatch.setattr("lockstep.serving.security.key_fetching.COOLDOWN_S", 0.2)
    with started(folder, jwt=jwt_facts(provider.url)) as security:
        assert name_of(security, "a") == "nightly"
        assert name_of(security, "b") == "Unauthenticated"
        provider.document = key_set(signer("a"), signer("b"))
        until(lambda: name_of(security, "b") == "nightly")
        provider.mode = "down"
        assert name_of(security, "c") == "Unauthenticated"
        until(lambda: security.fetched is not None and security.fetched.problem is not None)
        assert name_of(security, "a") == name_of(security, "b") == "nightly"
        provider.mode, provider.document = "answer", key_set(signer("c"))
        until(lambda: name_of(security, "c") == "nightly")
        assert name_of(security, "a") == "Unauthenticated"
        fetches = provider.fetches
        for _ in range(500):
            assert name_of(security, "nonsense") == "Unauthenticated"
        assert provider.fetches - fetches <= 3


def test_an_endpoint_starts_while_its_provider_is_away(folder: Path, provider: Provider, monkeypatch: Any) -> None:
    monkeypatch.setattr("lockstep.serving.security.key_fetching.COOLDOWN_S", 0.2)
    provider.mode = "down"
    with started(folder, api_keys="keys.yaml", jwt=jwt_facts(provider.url)) as security:
        assert name_of(security, "a") == "SignersUnknown"
        provider.mode = "answer"
        until(lambda: name_of(security, "a") == "nightly")


@pytest.mark.parametrize("mode", ["redirect", "down", "silent", "drip", "endless"])
def test_a_provider_that_misbehaves_is_given_up_in_time(provider: Provider, mode: str) -> None:
    assert json.loads(fetch_document(provider.url, timeout_s=5, ca=None))["keys"]
    provider.mode = mode
    begun = time.monotonic()
    with pytest.raises((OSError, ValueError)):
        fetch_document(provider.url, timeout_s=0.5, ca=None)
    assert time.monotonic() - begun < 2


def test_a_provider_must_prove_who_it_is(folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    provider = Provider(context)
    try:
        trusted, untrusted = folder / "trusted.pem", folder / "ca.pem"
        trusted.write_bytes(authority("ca").pem())
        assert json.loads(fetch_document(provider.url, timeout_s=5, ca=trusted))["keys"]
        for ca in (untrusted, None):
            with pytest.raises(OSError, match="certificate verify failed"):
                fetch_document(provider.url, timeout_s=5, ca=ca)
    finally:
        provider.close()
