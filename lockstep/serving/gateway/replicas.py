"""Addresses of replicas."""

from collections.abc import Sequence
from dataclasses import dataclass

from lockstep.specs.gateway_spec import REPLICA
from lockstep.specs.serving_spec import Serving


@dataclass(frozen=True)
class Replica:
    """One `lockstep serve`.

    Attributes:
        host: Name or address; IPv6 in brackets.
        port: Of REST.
        grpc_port: Of gRPC; none: it does not speak it.
    """

    host: str
    port: int
    grpc_port: int | None

    @property
    def rest(self) -> str:
        """Where it answers over REST."""
        return f"{self.host}:{self.port}"

    @property
    def grpc(self) -> str:
        """Where it answers over gRPC."""
        return f"{self.host}:{self.grpc_port}"


def read_replicas(texts: Sequence[str], serving: Serving) -> tuple[Replica, ...]:
    """Read addresses; ports that are not said are those of the configuration.

    Raises:
        ValueError: One is no address, or comes twice, or has a port too many.
    """
    found: list[Replica] = []
    for text in texts:
        match = REPLICA.fullmatch(text)
        ports = [int(port) for port in match["ports"].split(":")[1:]] if match is not None else []
        if match is None or not all(1 <= port <= 65_535 for port in ports):
            raise ValueError(f"{text!r} is no address of a replica; expected HOST, HOST:PORT or HOST:PORT:GRPC_PORT")
        if len(ports) > 1 and serving.grpc_port is None:
            raise ValueError(f"{text!r} names a port of gRPC, but the configuration has no 'grpc_port'")
        port = ports[0] if ports else serving.port
        replica = Replica(match["host"], port, ports[1] if len(ports) > 1 else serving.grpc_port)
        if not port or replica.grpc_port == 0:
            raise ValueError(f"{text!r} needs its ports, HOST:PORT or HOST:PORT:GRPC_PORT: the configuration says 0")
        if any(each.rest == replica.rest for each in found):
            raise ValueError(f"{replica.rest} is named twice")
        found.append(replica)
    return tuple(found)
