import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.serving.security.credentials import (
    MAX_BYTES,
    Credentials,
    credentials_from_headers,
    credentials_from_metadata,
    peer_network,
)

PEER = "192.0.2.1"


class Sent:
    """Headers as the server hands them over: values that are no visible ASCII are there, but cannot be read."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self._headers = headers

    def __contains__(self, key: str) -> bool:
        return any(name == key.encode() for name, _ in self._headers)

    def get_all(self, key: str) -> list[str]:
        values = [value for name, value in self._headers if name == key.encode()]
        return [value.decode() for value in values if all(32 <= byte < 127 or byte == 9 for byte in value)]


def of(*headers: tuple[bytes, bytes]) -> Credentials:
    return credentials_from_headers(Sent((b"host", b"x"), *headers, (b"accept", b"*/*")), peer=PEER)


def test_nothing_was_sent() -> None:
    assert of() == Credentials(PEER)
    assert credentials_from_metadata([("user-agent", "grpc"), ("trace-bin", b"\xff")], peer=PEER) == Credentials(PEER)


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER   ", b"Bearer \t"])
def test_a_bearer(scheme: bytes) -> None:
    assert of((b"authorization", scheme + b"abc.def-_~+/=")).bearer == "abc.def-_~+/="


def test_a_key() -> None:
    assert of((b"x-api-key", b" lsk_1 ")).api_key == "lsk_1"


def test_grpc_reads_the_same() -> None:
    assert credentials_from_metadata([("authorization", "Bearer abc")], peer=PEER) == Credentials(PEER, bearer="abc")
    assert credentials_from_metadata([("x-api-key", b"abc")], peer=PEER) == Credentials(PEER, api_key="abc")


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ([(b"authorization", b"Bearer a"), (b"x-api-key", b"a")], "several"),
        ([(b"authorization", b"Bearer a"), (b"authorization", b"Bearer a")], "several"),
        ([(b"x-api-key", b"a"), (b"x-api-key", b"b")], "several"),
        ([(b"authorization", b"Basic dXNlcjpwYXNz")], "scheme"),
        ([(b"authorization", b"abc")], "scheme"),
        ([(b"authorization", b"")], "scheme"),
        ([(b"authorization", b"Bearer")], "malformed"),
        ([(b"authorization", b"Bearer  ")], "malformed"),
        ([(b"authorization", b"Bearer a b")], "malformed"),
        ([(b"authorization", b"Bearer a\x00b")], "malformed"),
        ([(b"authorization", "Bearer gehäuse".encode())], "malformed"),
        ([(b"x-api-key", b"")], "malformed"),
        ([(b"x-api-key", b"a" * (MAX_BYTES + 1))], "too_long"),
        ([(b"authorization", b"Bearer " + b"a" * MAX_BYTES)], "too_long"),
    ],
)
def test_what_cannot_be_read_is_not_guessed_at(headers: list[tuple[bytes, bytes]], problem: str) -> None:
    found = of(*headers)
    assert found == Credentials(PEER, problem=found.problem)
    assert found.problem == problem


@given(
    headers=st.lists(st.tuples(st.sampled_from([b"authorization", b"x-api-key", b"cookie"]), st.binary(max_size=40)))
)
def test_any_header_gives_at_most_one_secret_or_a_problem(headers: list[tuple[bytes, bytes]]) -> None:
    found = of(*headers)
    sent = sum(name != b"cookie" for name, _ in headers)
    facts = [found.bearer, found.api_key, found.problem]
    assert sum(fact is not None for fact in facts) == (sent > 0)
    metadata = [(name.decode(), value) for name, value in headers]
    told = credentials_from_metadata(metadata, peer=PEER)
    assert sum(fact is not None for fact in (told.bearer, told.api_key, told.problem)) == (sent > 0)
    if all(value.decode("latin-1").isascii() and value.decode("latin-1").isprintable() for _, value in headers):
        assert told == found


def test_nothing_secret_is_shown() -> None:
    shown = repr(Credentials(PEER, bearer="hidden1", api_key="hidden2"))
    assert "hidden" not in shown
    assert PEER in shown


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("ipv4:192.0.2.1:50001", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("ipv6:[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
        ("ipv6:%5B2001:db8:1:2::9%5D:443", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix:/run/lockstep.sock", "unix:/run/lockstep.sock"),
        ("", ""),
    ],
)
def test_what_counts_as_one_stranger(peer: str, network: str) -> None:
    assert peer_network(peer) == network
