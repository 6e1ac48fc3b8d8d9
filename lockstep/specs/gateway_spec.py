"""The `gateway:` section of a `serving.yaml`: what stands in front of the replicas, which ignore it."""

import ipaddress
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lockstep.specs.serving_security import File, Tls
from lockstep.specs.strict import Strict

# A name or an IPv4 address, or an IPv6 address in brackets; then the ports of REST and of gRPC.
REPLICA = re.compile(
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?P<ports>(?::\d{1,5}){0,2})"
)
# Characters that mean something in the files that paths are written into.
UNFIT = set("\"'\\${};\n\r\t")
HIGHEST_PORT = 65_535


def _replica(value: str) -> str:
    found = REPLICA.fullmatch(value)
    ports = [int(port) for port in found["ports"].split(":")[1:]] if found is not None else [0]
    if not all(1 <= port <= HIGHEST_PORT for port in ports):
        raise ValueError(f"{value!r} is no address; expected HOST, HOST:PORT or HOST:PORT:GRPC_PORT, IPv6 in brackets")
    return value


def _plain(value: str) -> str:
    if UNFIT & set(value):
        raise ValueError("is written into other programs' files: quotes, backslashes, $, ;, { and } cannot be in it")
    return value


def _network(value: str) -> str:
    return str(ipaddress.ip_network(value))


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.-]+", value):
        raise ValueError("must be a DNS name")
    return value


Address = Annotated[str, AfterValidator(_replica)]
PlainFile = Annotated[File, AfterValidator(_plain)]
Network = Annotated[str, AfterValidator(_network)]


class GatewayTls(Tls):
    """The gateway's own certificate, and which certificates of clients it asks for."""

    certificate: PlainFile = Field(description="PEM file: the certificate, then those between it and the root.")
    key: PlainFile = Field(description="PEM file with its private key, not encrypted.")
    clients_ca: PlainFile | None = Field(
        None,
        description="Refuse clients without a certificate of these authorities; replicas do not learn whose it is.",
    )


class ReplicasTls(Strict):
    """How the gateway speaks to replicas that have `security.tls`."""

    ca: PlainFile = Field(description="PEM file with the authorities that vouch for the replicas.")
    name: Annotated[str, AfterValidator(_name)] = Field(description="DNS name that is in the replicas' certificates.")
    certificate: PlainFile | None = Field(None, description="What the gateway shows them, where they ask for one.")
    key: PlainFile | None = Field(None, description="Its private key.")

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("'certificate' and 'key' need each other")
        return self


class Mirror(Strict):
    """Replicas that get copies of scoring requests, and whose answers nobody sees."""

    replicas: tuple[Address, ...] = Field(min_length=1, description="Their addresses.")
    share: float = Field(1.0, gt=0, le=1, description="Share of the requests that are copied.")


class Gateway(Strict):
    """What stands in front of the replicas of an endpoint."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=1, le=HIGHEST_PORT, description="Port of REST.")
    grpc_port: int = Field(8001, ge=1, le=HIGHEST_PORT, description="Port of gRPC, where the replicas speak it.")
    tls: GatewayTls | None = Field(None, description="The gateway's own certificate; none: plain text.")
    plaintext: bool = Field(False, description="Whether other machines may connect without TLS.")
    replicas_tls: ReplicasTls | None = Field(None, description="How replicas with a certificate are known.")
    timeout_s: float | None = Field(
        None, gt=0, description="Longest time for an answer; none: the largest slo_ms, and limits.stuck_s on top."
    )
    repeat: Literal["lost", "unsent"] = Field(
        "lost", description="Whether a scoring request is repeated, once, that a replica had when it was lost."
    )
    connections: int | None = Field(None, ge=1, description="Open connections of each address; none: no bound.")
    trusted_proxies: tuple[Network, ...] = Field(
        (), description="Networks of proxies in front, whose X-Forwarded-For says who the client is."
    )
    mirror: Mirror | None = Field(None, description="Who gets copies of scoring requests; none: nobody.")

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.port == self.grpc_port:
            raise ValueError("'port' and 'grpc_port' must differ: over plain text a port speaks one of the two")
        try:
            ipaddress.ip_address(self.host)
        except ValueError as error:
            if self.host != "localhost":
                raise ValueError("'host' must be an IP address of this machine, or localhost") from error
        return self
