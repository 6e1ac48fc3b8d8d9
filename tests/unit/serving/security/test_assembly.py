import json
import logging
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import LockstepError
from lockstep.serving.security.api_keys import entry_text, new_api_key
from lockstep.serving.security.assembly import Security, build_security
from lockstep.serving.security.credentials import Credentials, credentials_from_headers
from lockstep.serving.security.errors import (
    Forbidden,
    KeySetInvalid,
    SecurityFileInvalid,
    SignersUnknown,
    Unauthenticated,
)
from lockstep.specs.serving_security import ServingSecurity
from tests.unit.serving.security.issuers import AUDIENCE, CLAIMS, GRANT, ISSUER, authority, issued, key_set, signer
from tests.unit.serving.toy import Headers

KEY, ENTRY = new_api_key("nightly", models=["churn"])
JWT = {"issuer": ISSUER, "audience": AUDIENCE, "grants": [GRANT]}
FRESH = {**CLAIMS, "exp": 2_000_000_000, "iat": 1_700_000_000}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys.yaml").write_text("keys:\n" + entry_text(ENTRY))
    (tmp_path / "jwks.json").write_bytes(key_set(signer("a")))
    issued("ca", "server", server=True).write(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(authority("clients").pem())
    return tmp_path


@pytest.fixture
def built(folder: Path) -> Iterator[Any]:
    made: list[Security] = []

    def build(**facts: Any) -> Security:
        security = build_security(ServingSecurity.model_validate(facts), folder=folder)
        made.append(security)
        return security

    yield build
    for security in made:
        security.close()


def test_nothing_said_costs_nothing(built: Any) -> None:
    security = built()
    assert security.open_roles == {"infer", "read", "metrics"}
    assert security.tls is None
    assert security.guard.admit(Credentials(), action="infer", model="churn").name == "anonymous"
    with pytest.raises(Forbidden):
        security.guard.admit(Credentials(), action="admin", model="churn")


@pytest.mark.parametrize(
    ("facts", "open_roles"),
    [
        ({"anonymous": {"models": "*", "roles": ["infer"]}}, {"infer"}),
        ({"anonymous": {"models": "*", "roles": ["infer", "admin"]}}, {"infer"}),
        ({"anonymous": {"models": "churn", "roles": ["infer"]}}, set()),
        ({"rate_limit": {}}, set()),
        ({"api_keys": "keys.yaml"}, set()),
        ({"api_keys": "keys.yaml", "allow_anonymous": True}, set()),
    ],
)
def test_the_guard_is_skipped_only_where_it_would_let_everything_through(
    built: Any, facts: dict[str, Any], open_roles: set[str]
) -> None:
    assert built(**facts).open_roles == open_roles


def test_keys_and_tokens_side_by_side(built: Any) -> None:
    guard = built(api_keys="keys.yaml", jwt={**JWT, "jwks_file": "jwks.json"}).guard
    assert guard.admit(Credentials(api_key=KEY), action="infer", model="churn").method == "api_key"
    token = signer("a").token(FRESH)
    assert guard.admit(Credentials(bearer=token), action="infer", model="churn").method == "token"
    with pytest.raises(Unauthenticated):
        guard.admit(Credentials(), action="infer", model="churn")


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"api_keys": "none.yaml"}, "cannot be read"),
        ({"jwt": {**JWT, "jwks_file": "none.json"}}, "cannot be read"),
        ({"tls": {"certificate": "server.pem", "key": "keys.yaml"}}, "no certificate with its private key"),
        ({"audit": {"file": "keys.yaml/audit.jsonl"}}, "the audit log cannot be written"),
    ],
)
def test_what_is_missing_stops_the_start(built: Any, facts: dict[str, Any], problem: str) -> None:
    with pytest.raises(SecurityFileInvalid, match=problem):
        built(**facts)


def test_a_wrong_key_set_stops_the_start(built: Any, folder: Path) -> None:
    (folder / "jwks.json").write_text("{}")
    with pytest.raises(KeySetInvalid):
        built(jwt={**JWT, "jwks_file": "jwks.json"})


def test_changed_files_are_used_while_it_runs(built: Any, folder: Path) -> None:
    security = built(api_keys="keys.yaml", jwt={**JWT, "jwks_file": "jwks.json"})
    security.start()
    other, entry = new_api_key("other", models=["*"])
    (folder / "keys.yaml").write_text("keys:\n" + entry_text(entry))
    (folder / "jwks.json").write_bytes(key_set(signer("b")))
    sent = [Credentials(api_key=other), Credentials(bearer=signer("b").token(FRESH))]
    deadline = time.monotonic() + 10
    while True:
        try:
            names = [security.guard.admit(one, action="infer", model="churn").name for one in sent]
            break
        except Unauthenticated:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert names == ["other", "nightly"]
    with pytest.raises(Unauthenticated):
        security.guard.admit(Credentials(api_key=KEY), action="infer", model="churn")


def test_keys_to_fetch_are_not_fetched_before_the_start(built: Any) -> None:
    security = built(jwt={**JWT, "jwks_url": "https://login.example.com/keys"})
    assert security.fetched is not None
    with pytest.raises(SignersUnknown):
        security.guard.admit(Credentials(bearer=signer("a").token(FRESH)), action="infer", model="churn")


def test_no_secret_gets_into_logs_audit_or_messages(built: Any, folder: Path, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    security = built(
        api_keys="keys.yaml",
        jwt={**JWT, "jwks_file": "jwks.json"},
        tls={"certificate": "server.pem", "key": "server.key"},
        audit={"file": "audit.jsonl", "refusal_burst": 1000},
    )
    security.start()
    expired = signer("a").token({**FRESH, "exp": 1_700_000_001})
    forged = signer("stranger").token(FRESH, kid="a")
    secrets = [KEY, "lsk_" + "s3cret" * 7, signer("a").token(FRESH), expired, forged]
    told: list[str] = []
    for secret in secrets:
        for name, value in (
            ("authorization", f"Bearer {secret}"),
            ("authorization", f"Basic {secret}"),
            ("x-api-key", secret),
        ):
            credentials = credentials_from_headers(Headers({name: value}), peer="192.0.2.1")
            told.append(repr(credentials))
            for action in ("infer", "admin"):
                try:
                    told.append(repr(security.guard.admit(credentials, action=action, model="churn", request_id="r")))
                except LockstepError as error:
                    told.append("".join(traceback.format_exception(error)))
    security.close()
    told += [caplog.text, (folder / "audit.jsonl").read_text(), repr(security)]
    assert any("unknown_key" in text for text in told)
    assert any("expired_token" in text for text in told)
    parts = {part for secret in secrets for part in (secret, *secret.split(".")) if len(part) > 20}
    private = (folder / "server.key").read_text().splitlines()[1]
    assert not [text for text in told for part in (*parts, private) if part in text]
    lines = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
    assert all(line["outcome"] in {"unauthenticated", "forbidden"} for line in lines)


TLS = {"certificate": "server.pem", "key": "server.key"}
CLIENT = {"name": "batch", "uri": "spiffe://example/batch", "models": "churn"}


def test_certificates_count_over_rest_as_over_grpc(built: Any) -> None:
    listed = issued("clients", uris=["spiffe://example/batch"]).der()
    other = issued("clients", uris=["spiffe://example/other"]).der()
    mtls = {"ca": "ca.pem", "clients": [CLIENT]}
    for section, expected in (({}, None), ({"others": {"models": "churn", "roles": ["read"]}}, {"read"})):
        security = built(tls=TLS, mtls={**mtls, **section})

        def roles(shown: bytes | None, *, security: Security = security) -> set[str] | None:
            credentials = security.credentials(Headers(), peer="192.0.2.1", certificate=shown)
            try:
                client = security.guard.admit(credentials, action="read", model="churn")
            except (Unauthenticated, Forbidden):
                return None
            return set(client.roles)

        assert roles(listed) == {"infer", "read"}
        assert roles(other) == expected
        assert roles(None) is None
