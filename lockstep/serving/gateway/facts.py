"""What every kind of gateway is told: figures of the serving.yaml, in the gateway's terms."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import SpecError
from lockstep.serving.gateway.checks import problems_of
from lockstep.serving.gateway.replicas import Replica, read_replicas
from lockstep.specs.gateway_spec import Gateway
from lockstep.specs.serving_security import Rate, RateLimit
from lockstep.specs.serving_spec import Serving

# What a gRPC message may have on top of a body: names and descriptions of tensors, and its own length.
GRPC_HEADROOM_BYTES = 64 * 2**10 + 5
# An idle connection to a replica, when replicas do not drain.
IDLE_S = 30.0


@dataclass(frozen=True)
class ClientRate:
    """How much one client may ask for, over all replicas.

    Attributes:
        per_s: Requests a second.
        burst: Requests at once.
    """

    per_s: float
    burst: int


@dataclass(frozen=True)
class Rates:
    """Rates of clients with credentials, and of addresses without; none: no limit."""

    known: ClientRate | None
    strangers: ClientRate | None


@dataclass(frozen=True)
class GatewayFacts:
    """A gateway.

    Attributes:
        serving, gateway: The configuration.
        replicas, shadows: Who answers, and who gets copies.
        folder: That of serving.yaml.
        output: Where the gateway's configuration will be.
        rates: Limits of clients.
    """

    serving: Serving
    gateway: Gateway
    replicas: tuple[Replica, ...]
    shadows: tuple[Replica, ...]
    folder: Path
    output: Path
    rates: Rates

    @property
    def grpc(self) -> bool:
        """Whether gRPC is passed on."""
        return self.serving.grpc_port is not None

    @property
    def listen_host(self) -> str:
        """Where it listens, as it stands before a port."""
        host = "127.0.0.1" if self.gateway.host == "localhost" else self.gateway.host
        return f"[{host}]" if ":" in host else host

    @property
    def scheme(self) -> str:
        """How replicas are spoken to over REST."""
        return "http" if self.serving.security.tls is None else "https"

    @property
    def grpc_scheme(self) -> str:
        """How replicas are spoken to over gRPC, in nginx's words."""
        return "grpc" if self.serving.security.tls is None else "grpcs"

    @property
    def body_bytes(self) -> int:
        """Largest body."""
        return self.serving.limits.body_mib * 2**20

    @property
    def message_bytes(self) -> int:
        """Largest message of gRPC."""
        return self.body_bytes + GRPC_HEADROOM_BYTES

    @property
    def timeout_ms(self) -> int:
        """Longest time for an answer; replicas are told it as the request's deadline."""
        seconds = self.gateway.timeout_s
        if seconds is None:
            seconds = max(model.slo_ms for model in self.serving.models) / 1000 + self.serving.limits.stuck_s
        return math.ceil(seconds * 1000)

    @property
    def idle_ms(self) -> int:
        """How long a connection to a replica may be idle: the gateway must close it before the replica would."""
        limits = self.serving.limits
        longest = limits.drain_s or 2 * IDLE_S
        return int(min(longest, limits.idle_s) * 500)

    @property
    def tries(self) -> int:
        """To how many replicas a request is taken that none has got yet."""
        return min(len(self.replicas), 3)

    def path(self, file: str) -> str:
        """Return a file of serving.yaml as the gateway's configuration names it."""
        if Path(file).is_absolute():
            return file
        return os.path.relpath(self.folder / file, self.output)


def gateway_facts(serving: Serving, replicas: Sequence[str], *, config: Path, output: Path) -> GatewayFacts:
    """Gather what a gateway is told.

    Args:
        serving: The configuration of the replicas, with the gateway's.
        replicas: Their addresses.
        config: The file it came from.
        output: Folder that the gateway's configuration is for.

    Raises:
        SpecError: What it says does not go together with a gateway, or an address is none.
    """
    gateway = serving.gateway or Gateway()
    try:
        answering = read_replicas(replicas, serving)
        shadows = read_replicas(gateway.mirror.replicas, serving) if gateway.mirror is not None else ()
    except ValueError as error:
        raise SpecError(str(config), [str(error)]) from error
    problems = problems_of(serving, gateway)
    if both := sorted({each.rest for each in answering} & {each.rest for each in shadows}):
        problems.append(f"gateway.mirror: {both[0]} answers already; requests to it would be scored twice")
    if problems:
        raise SpecError(str(config), problems)
    folder, output = config.parent.absolute(), output.absolute()
    rates = rates_of(serving.security.rate_limit)
    return GatewayFacts(serving, gateway, answering, shadows, folder, output, rates)


def rates_of(limit: RateLimit | None) -> Rates:
    """Return the rates over all replicas: as much as any client may have of one process.

    A gateway does not know names of clients, so that each gets what the one with the largest share has; the replicas
    keep the smaller shares, each for itself.
    """
    if limit is None:
        return Rates(None, None)
    named = [_rate(limit), *(_rate(rate) for rate in limit.clients.values())]
    known = [rate for rate in named if rate is not None]
    largest = ClientRate(max(r.per_s for r in known), max(r.burst for r in known)) if len(known) == len(named) else None
    return Rates(largest, _rate(limit.anonymous or limit))


def _rate(rate: Rate) -> ClientRate | None:
    if rate.requests_per_s is None:
        return None
    return ClientRate(rate.requests_per_s, rate.request_burst or max(1, int(rate.requests_per_s)))
