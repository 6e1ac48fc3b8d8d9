from pathlib import Path

import pytest

from lockstep.serving.security.api_keys import ApiKeyTable, entry_text, follow_keys, new_api_key
from lockstep.serving.security.authenticator import Authenticator
from lockstep.serving.security.certificates import CertificateClients, read_der
from lockstep.serving.security.clients import client_with
from lockstep.serving.security.credentials import Credentials
from lockstep.serving.security.errors import Unauthenticated
from lockstep.serving.security.key_sets import KeySetFile
from lockstep.serving.security.reloading import FollowedFiles
from lockstep.serving.security.tokens import TokenVerifier
from lockstep.specs.serving_security import Mtls, Rights
from tests.unit.serving.security.issuers import issued, jwt_config, key_set, signer

KEY, ENTRY = new_api_key("by-key", models=["*"])
TOKEN = signer("a").token()
NIGHTLY = read_der(issued("ca", "nightly").der())
NOW = 1_800_000_000.0
ANYBODY = client_with("anonymous", "anonymous", [Rights(models=("*",))])


@pytest.fixture
def keys(tmp_path: Path) -> FollowedFiles[ApiKeyTable]:
    path = tmp_path / "keys.yaml"
    path.write_text("keys:\n" + entry_text(ENTRY))
    return follow_keys(path)


@pytest.fixture
def tokens(tmp_path: Path) -> TokenVerifier:
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(signer("a")))
    return TokenVerifier(jwt_config(), KeySetFile(path, algorithms=["ES256"]))


@pytest.fixture
def certificates() -> CertificateClients:
    entry = {"name": "by-certificate", "models": "*", "common_name": "nightly"}
    return CertificateClients(Mtls.model_validate({"ca": "ca.pem", "clients": [entry]}))


def now_of(certificate_too: bool) -> float:
    return (NIGHTLY.begins + NIGHTLY.ends) / 2 if certificate_too else NOW


def reason(authenticator: Authenticator, credentials: Credentials, *, now: float = NOW) -> str:
    with pytest.raises(Unauthenticated) as caught:
        authenticator.authenticate(credentials, now=now)
    return caught.value.reason


def test_each_way_to_say_who_one_is(
    keys: FollowedFiles[ApiKeyTable], tokens: TokenVerifier, certificates: CertificateClients
) -> None:
    every = Authenticator(keys=keys, tokens=tokens, certificates=certificates)
    assert every.authenticate(Credentials(api_key=KEY), now=NOW).name == "by-key"
    assert every.authenticate(Credentials(bearer=KEY), now=NOW).name == "by-key"
    assert every.authenticate(Credentials(bearer=TOKEN), now=NOW).name == "nightly"
    assert every.authenticate(Credentials(certificate=NIGHTLY), now=now_of(True)).name == "by-certificate"
    assert every.authenticate(Credentials(bearer=KEY, certificate=NIGHTLY), now=now_of(True)).name == "by-key"
    assert reason(every, Credentials()) == "missing"
    assert reason(every, Credentials(api_key=TOKEN)) == "unknown_key"
    assert reason(every, Credentials(bearer="a.b.c")) == "malformed"
    assert reason(every, Credentials(problem="several")) == "several"
    assert reason(every, Credentials(bearer="wrong", certificate=NIGHTLY), now=now_of(True)) == "unknown_key"


def test_a_way_that_is_not_in_use_gives_nothing(keys: FollowedFiles[ApiKeyTable], tokens: TokenVerifier) -> None:
    assert reason(Authenticator(tokens=tokens), Credentials(api_key=KEY)) == "not_supported"
    assert reason(Authenticator(keys=keys), Credentials(bearer=TOKEN)) == "unknown_key"
    assert reason(Authenticator(keys=keys), Credentials(certificate=NIGHTLY)) == "missing"


def test_who_shows_something_wrong_is_not_anonymous(
    keys: FollowedFiles[ApiKeyTable], certificates: CertificateClients
) -> None:
    lenient = Authenticator(keys=keys, certificates=certificates, anonymous=ANYBODY)
    assert lenient.authenticate(Credentials(), now=NOW) is ANYBODY
    assert reason(lenient, Credentials(api_key="lsk_wrong")) == "unknown_key"
    assert reason(lenient, Credentials(problem="scheme")) == "scheme"
    stranger = read_der(issued("ca", "stranger").der())
    assert lenient.authenticate(Credentials(certificate=stranger), now=now_of(True)) is ANYBODY
    assert reason(lenient, Credentials(certificate=NIGHTLY), now=NIGHTLY.ends + 1) == "expired_certificate"


def test_where_nothing_can_be_shown_everybody_is_anonymous() -> None:
    nobody = Authenticator(anonymous=ANYBODY)
    for sent in (Credentials(), Credentials(bearer="anything"), Credentials(problem="several")):
        assert nobody.authenticate(sent, now=NOW) is ANYBODY


def test_an_authenticator_of_nothing_lets_nobody_in() -> None:
    assert reason(Authenticator(), Credentials()) == "missing"
    assert reason(Authenticator(), Credentials(bearer="x")) == "not_supported"


def test_refusals_look_alike(keys: FollowedFiles[ApiKeyTable], tokens: TokenVerifier) -> None:
    both, expired = Authenticator(keys=keys, tokens=tokens), signer("a").token()
    seen = set()
    for sent, now in (
        (Credentials(api_key="lsk_wrong"), NOW),
        (Credentials(bearer="a.b.c"), NOW),
        (Credentials(bearer=expired), NOW + 10**6),
        (Credentials(bearer=signer("b").token()), NOW),
        (Credentials(problem="too_long"), NOW),
        (Credentials(problem="scheme"), NOW),
    ):
        with pytest.raises(Unauthenticated) as caught:
            both.authenticate(sent, now=now)
        seen.add((str(caught.value), caught.value.challenge))
    assert len(seen) == 1
