"""The text of nginx's configuration; whether nginx reads it is for the integration tests."""

import re

from hypothesis import given
from hypothesis import strategies as st

from lockstep.serving.gateway.facts import ClientRate
from lockstep.serving.gateway.nginx import rate_text, render_nginx
from tests.unit.serving.gateway.configurations import TLS, facts_of


def text_of(**facts: object) -> str:
    return render_nginx(facts_of(**facts))["nginx.conf"]  # type: ignore[arg-type]


@given(st.floats(1 / 60, 1e6))
def test_a_rate_is_never_more_than_it_is(per_s: float) -> None:
    number, unit = re.fullmatch(r"(\d+)r/([sm])", rate_text(ClientRate(per_s, 1))).groups()  # type: ignore[union-attr]
    allowed = int(number) / {"s": 1, "m": 60}[unit]
    assert 0 < allowed <= per_s


def test_listens_on_loopback_unless_told_otherwise() -> None:
    assert re.findall(r"listen ([^; ]+)", text_of()) == ["127.0.0.1:8000", "127.0.0.1:8001"]
    assert "listen [::1]:8000;" in text_of(gateway={"host": "::1"})
    outside = {"host": "0.0.0.0", "tls": TLS}
    assert "listen 0.0.0.0:8000 ssl http2;" in text_of(gateway=outside, security={"api_keys": "keys.yaml"})


def test_no_request_that_a_replica_had_is_repeated_where_that_is_not_wanted() -> None:
    for repeat, expected in (("lost", 2), ("unsent", 0)):
        text = text_of(gateway={"repeat": repeat})
        assert text.count("error_page 502 = @again;") == expected
        assert text.count("location @again {") == expected
        assert "non_idempotent" not in text
        assert "http_503" not in text


def test_braces_and_quotes_are_closed() -> None:
    tls = {"tls": {**TLS, "clients_ca": "ca.pem"}, "mirror": {"replicas": ["10.0.0.9"], "share": 0.5}, "connections": 9}
    for text in (text_of(), text_of(gateway=tls), render_nginx(facts_of("a", grpc_port=None))["nginx.conf"]):
        said = re.sub(r"'[^']*'|\"[^\"]*\"", "", "\n".join(line.split(" #")[0] for line in text.splitlines()))
        assert said.count("{") == said.count("}")
        assert "{{" not in text
        assert "None" not in text
        assert not re.search(r"\n\n\n| \n", text)


def test_what_it_logs_has_no_header_of_a_client_that_could_be_a_secret() -> None:
    formats = re.findall(r"log_format[^;]*;", text_of())
    assert len(formats) == 2
    for text in formats:
        assert not re.search(r"authorization|api_key|cookie|\$args|query|\$request_uri|\$request\b|request_body", text)
