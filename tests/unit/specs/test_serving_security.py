import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from lockstep.specs.serving_security import ApiKeyFile, ServingSecurity, is_loopback

HASH = "sha256:" + "0a" * 32
JWT = "issuer: https://login.example.com/, audience: lockstep, grants: [{models: '*'}]"
WEB = "jwks_url: https://login.example.com/keys"


def security(text: str) -> ServingSecurity:
    return ServingSecurity.model_validate(yaml.safe_load(text))


def test_nothing_said_is_closed_to_other_machines_and_open_to_this_one() -> None:
    nothing = ServingSecurity()
    assert not nothing.allow_anonymous
    assert not nothing.plaintext
    assert not nothing.authenticates
    assert nothing.lets_anonymous_in
    assert "admin" not in nothing.anonymous.roles


@pytest.mark.parametrize(
    ("text", "authenticates", "anonymous"),
    [
        ("{api_keys: keys.yaml}", True, False),
        ("{api_keys: keys.yaml, allow_anonymous: true}", True, True),
        (f"{{jwt: {{{JWT}, {WEB}}}}}", True, False),
        ("{tls: {certificate: a, key: b}}", False, True),
        ("{tls: {certificate: a, key: b}, mtls: {ca: c}, allow_anonymous: true}", False, True),
        ("{tls: {certificate: a, key: b}, mtls: {ca: c, others: {models: '*'}}}", True, False),
        ("{tls: {certificate: a, key: b}, mtls: {ca: c, clients: [{name: x, dns: y, models: z}]}}", True, False),
    ],
)
def test_who_gets_in(text: str, authenticates: bool, anonymous: bool) -> None:
    found = security(text)
    assert (found.authenticates, found.lets_anonymous_in) == (authenticates, anonymous)


def test_one_value_may_stand_for_a_list_and_a_version_for_its_text() -> None:
    found = security(f"{{tls: {{certificate: a, key: b, minimum: 1.3}}, jwt: {{{JWT}, {WEB}}}}}")
    assert found.tls is not None
    assert found.jwt is not None
    assert found.tls.minimum == "1.3"
    assert found.jwt.audience == ("lockstep",)
    assert found.jwt.client_claim == ("sub",)
    assert found.jwt.grants[0].models == ("*",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{mtls: {ca: c, others: {models: '*'}}}", "'mtls' needs 'tls'"),
        ("{tls: {certificate: a, key: b}, mtls: {ca: c}}", "nobody has rights"),
        ("{tls: {certificate: a, key: b}, mtls: {ca: c, require: false, others: {models: a}}}", "'require: true'"),
        ("{tls: {certificate: a, key: b, minimum: 1.1}}", "Input should be '1.2' or '1.3'"),
        ("{tls: {certificate: '-----BEGIN CERTIFICATE-----', key: b}}", "not its content"),
        (f"{{jwt: {{{JWT}}}}}", "exactly one of 'jwks_file' and 'jwks_url'"),
        (f"{{jwt: {{{JWT}, {WEB}, jwks_file: x}}}}", "exactly one of 'jwks_file' and 'jwks_url'"),
        (f"{{jwt: {{{JWT}, jwks_file: x, jwks_ca: y}}}}", "'jwks_ca' is for 'jwks_url'"),
        (f"{{jwt: {{{JWT}, {WEB}, algorithms: [HS256]}}}}", "Input should be 'RS256'"),
        (f"{{jwt: {{{JWT}, {WEB}, algorithms: [none]}}}}", "Input should be 'RS256'"),
        (f"{{jwt: {{{JWT}, {WEB}, algorithms: []}}}}", "at least 1"),
        (f"{{jwt: {{{JWT}, {WEB}, refresh_s: 600, max_age_s: 60}}}}", "must not be longer"),
        ("{jwt: {issuer: i, audience: [], grants: [{models: '*'}], jwks_file: x}}", "at least 1"),
        ("{jwt: {issuer: i, audience: a, grants: [], jwks_file: x}}", "at least 1"),
        ("{jwt: {issuer: i, audience: a, grants: [{models: a, claim: b}], jwks_file: x}}", "needs both 'claim' and"),
        ("{rate_limit: {request_burst: 3}}", "'request_burst' needs 'requests_per_s'"),
        ("{rate_limit: {clients: {a: {row_burst: 3}}}}", "'row_burst' needs 'rows_per_s'"),
        ("{rate_limit: {requests_per_s: 0}}", "greater than 0"),
        ("{rate_limit: {clients: {'a b': {}}}}", "must be 1 to 128 letters"),
        ("{anonymous: {models: []}}", "at least 1"),
        ("{anonymous: {models: a, roles: [root]}}", "Input should be 'infer'"),
        ("{api_key: keys.yaml}", "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        security(text)


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://login.example.com/keys", True),
        ("https://login.example.com:8443/a/b?tenant=c", True),
        ("http://127.0.0.1:9000/keys", True),
        ("http://localhost/keys", True),
        ("http://[::1]/keys", True),
        ("http://login.example.com/keys", False),
        ("http://127.0.0.1.example.com/keys", False),
        ("http://localhost.example.com/keys", False),
        ("https://user@login.example.com/keys", False),
        ("https://user:pass@login.example.com/keys", False),
        ("https://login.example.com/keys?access_token=x", False),
        ("https://login.example.com/keys#x", False),
        ("https:///keys", False),
        ("file:///etc/keys.json", False),
        ("ftp://127.0.0.1/keys", False),
        ("keys.json", False),
    ],
)
def test_keys_are_fetched_over_https_or_from_this_machine(url: str, fine: bool) -> None:
    text = f"{{jwt: {{{JWT}, jwks_url: '{url}'}}}}"
    if fine:
        security(text)
        return
    with pytest.raises(ValidationError):
        security(text)


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"hash": "lsk_thisIsTheKeyItself"}, "never the key itself"),
        ({"hash": "md5:" + "0" * 32}, "must be 'sha256:' or 'blake2b:'"),
        ({"hash": HASH.upper()}, "lower-case hexadecimal"),
        ({"name": ""}, "must be 1 to 128 letters"),
        ({"name": "a\nb"}, "must be 1 to 128 letters"),
        ({"expires": "2027-01-01T00:00:00"}, "timezone"),
        ({"roles": []}, "at least 1"),
        ({"models": ""}, "at least 1"),
        ({"key": "lsk_thisIsTheKeyItself"}, "Extra inputs"),
    ],
)
def test_an_entry_of_a_key_is_checked_and_a_key_not_repeated(facts: dict[str, Any], problem: str) -> None:
    entry = {"name": "nightly", "hash": HASH, "models": "*", **facts}
    with pytest.raises(ValidationError, match=problem) as caught:
        ApiKeyFile.model_validate({"keys": [entry]})
    assert not any("thisIsTheKeyItself" in error["msg"] for error in caught.value.errors(include_input=False))


def test_no_two_entries_have_one_key() -> None:
    entry = {"name": "a", "hash": HASH, "models": "*"}
    other = {**entry, "hash": HASH.replace("0", "1")}
    ApiKeyFile.model_validate({"keys": [entry, other]})
    with pytest.raises(ValidationError, match="'a' and 'b' have the same key"):
        ApiKeyFile.model_validate({"keys": [entry, {**entry, "name": "b"}]})


def test_an_entry_without_roles_may_score_and_read() -> None:
    (entry,) = ApiKeyFile.model_validate({"keys": [{"name": "a", "hash": HASH, "models": "churn"}]}).keys
    assert entry.roles == ("infer", "read")
    assert entry.models == ("churn",)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST", "::ffff:127.0.0.1"]
)
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "*", "192.0.2.1", "127.1", "2130706433", "localhost.", "example.com"]
)
def test_other_machines_or_not_certain(host: str) -> None:
    assert not is_loopback(host)


def test_the_examples_of_the_documentation_are_valid() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "endpoint-security.md").read_text(encoding="utf-8")
    examples = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    assert len(examples) == 5
    for example in examples:
        if "keys" in example:
            ApiKeyFile.model_validate(example)
        else:
            ServingSecurity.model_validate(example["security"])
