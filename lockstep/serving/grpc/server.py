"""The gRPC server, on the event loop of the HTTP one."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from lockstep.serving.access_log import AccessLog
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.errors import PortUnavailable
from lockstep.serving.grpc.calls import Observer
from lockstep.serving.grpc.door import refuse_connections
from lockstep.serving.grpc.health import Health
from lockstep.serving.grpc.servicer import SERVICE, Admit, InferenceServicer, admit_all, inference_handlers
from lockstep.serving.repository import Repository

if TYPE_CHECKING:
    from lockstep.serving.tracing.tracing import Tracing

# Names and tensor descriptions around the raw contents: what a message may have on top of the largest body.
HEADROOM_BYTES = 64 * 2**10
# Calls of all kinds for each request that may be in progress: health checks and watchers come on top of these.
CALLS_PER_REQUEST = 4
# A connection is closed between calls when it was idle, or open, for so long; clients connect again by themselves.
IDLE_S, AGE_S, AGE_GRACE_S = 600, 3600, 60
# gRPC varies the age of connections by a tenth.
SPREAD = 1.1
IDENTITY_ONLY = 1
UNBOUNDED = 2**31 - 1


@dataclass(frozen=True)
class GrpcServer:
    """A server that has its port.

    Attributes:
        server: gRPC's own.
        port: Where it listens.
        health: Of the server.
        age_s: How old its connections become.
    """

    server: grpc.aio.Server
    port: int
    health: Health
    age_s: float = AGE_S

    async def start(self) -> None:
        """Take calls from now on."""
        await self.server.start()

    async def close_door(self) -> None:
        """Refuse new connections, and wait until those that are open have come of age.

        A server of gRPC that is told to stop cancels calls that are on their way to it. Connections that come of age
        end without that, as their clients are told to begin no further call.
        """
        refuse_connections(self.port)
        await asyncio.sleep(self.age_s * SPREAD)

    async def stop(self, grace_s: float) -> None:
        """Take no further calls, wait for those in progress, and end the ones that take longer than `grace_s`."""
        self.health.stop()
        await self.server.stop(grace_s)


def build_grpc_server(
    plane: DataPlane,
    repository: Repository,
    *,
    host: str,
    port: int,
    limits: Limits,
    credentials: grpc.ServerCredentials | None = None,
    admit: Admit = admit_all,
    log: AccessLog | None = None,
    tracing: "Tracing | None" = None,
    with_reflection: bool = True,
    share_port: bool = False,
    drain_s: float = 0.0,
) -> GrpcServer:
    """Build the gRPC server of a data plane; call it in the event loop that the data plane belongs to.

    Args:
        plane: Answers.
        repository: Changes what is served.
        host: Address or name to listen on.
        port: Port; 0 takes any free one.
        limits: Bounds of messages and calls.
        credentials: TLS; none: in plain text.
        admit: Asked before anything is done for a client.
        log: Of the calls.
        tracing: Exports spans; none: there are none.
        with_reflection: Whether clients may ask for the description of the protocol.
        share_port: Whether several processes listen on the port (SO_REUSEPORT); each connection gets one of them.
        drain_s: How long it goes on when it stops, half of which a connection lives then; 0: it stops at once.

    Raises:
        PortUnavailable: The address is in use or cannot be used.
    """
    age_s = min(drain_s / 2, AGE_S) if drain_s else AGE_S
    server = grpc.aio.server(
        options=_options(limits, share_port=share_port, age_s=age_s),
        maximum_concurrent_rpcs=limits.in_progress * CALLS_PER_REQUEST,
    )
    servicer, own_health = InferenceServicer(plane, repository, admit=admit), Health(plane)
    server.add_generic_rpc_handlers((inference_handlers(servicer, Observer(plane.metrics, log, tracing)),))
    health_pb2_grpc.add_HealthServicer_to_server(own_health, server)
    if with_reflection:
        names = (SERVICE.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    return GrpcServer(server, _listen(server, host, port, credentials=credentials), own_health, age_s)


def _options(limits: Limits, *, share_port: bool, age_s: float) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", int(share_port)),
        ("grpc.max_receive_message_length", limits.body_bytes + HEADROOM_BYTES),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", limits.in_progress),
        # Beyond its own limits gRPC would end calls as CANCELLED; here they are refused with a status that says why.
        ("grpc.server.max_pending_requests", UNBOUNDED),
        ("grpc.server.max_pending_requests_hard_limit", UNBOUNDED),
        # As over HTTP nothing is decompressed: a small message could become one of any size.
        ("grpc.compression_enabled_algorithms_bitset", IDENTITY_ONLY),
        ("grpc.max_connection_idle_ms", IDLE_S * 1000),
        ("grpc.max_connection_age_ms", int(age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", AGE_GRACE_S * 1000),
    ]


def _listen(server: grpc.aio.Server, host: str, port: int, *, credentials: grpc.ServerCredentials | None) -> int:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if credentials is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, credentials))
    except RuntimeError as error:
        raise PortUnavailable(host, port, reason="it is in use, or not an address of this machine") from error
