"""The endpoint's security over gRPC: keys, certificates, and certificates that change."""

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from guarded import BATCH, KEY, MTLS, STRANGER, TLS, started, write_files

from lockstep.errors import LockstepError
from lockstep.serving.security.assembly import Security
from lockstep.serving.security.certificates import from_auth_context
from lockstep.serving.security.credentials import credentials_from_metadata
from lockstep.serving.security.tls import grpc_credentials
from lockstep.specs.serving_security import Mtls, Tls
from tests.unit.serving.security.issuers import Certified, authority, issued


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path)


class Answering(grpc.GenericRpcHandler):
    """The same application as a gRPC method."""

    def __init__(self, security: Security) -> None:
        self._security = security

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._answer)

    async def _answer(self, _request: bytes, context: Any) -> bytes:
        credentials = credentials_from_metadata(
            context.invocation_metadata(), peer=context.peer(), certificate=from_auth_context(context.auth_context())
        )
        try:
            client = self._security.guard.admit(credentials, action="infer", model="churn")
        except LockstepError as error:
            return type(error).__name__.encode()
        return client.name.encode()


async def call(port: int, own: Certified | None = None, **metadata: str) -> str:
    keys: dict[str, bytes] = {}
    if own is not None:
        keys = {"private_key": own.key_pem(), "certificate_chain": own.pem()}
    credentials = grpc.ssl_channel_credentials(authority("ca").pem(), **keys)
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        sent = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
        try:
            answer: bytes = await channel.unary_unary("/test/Answer")(b"", metadata=sent, timeout=10)
        except grpc.aio.AioRpcError as error:
            return "refused" if error.code() == grpc.StatusCode.UNAVAILABLE else str(error.code())
        return answer.decode()


def test_grpc_knows_clients_by_certificate_and_by_key(folder: Path) -> None:
    async def scenario(security: Security, mtls: Mtls) -> None:
        assert security.tls is not None
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Answering(security),))
        port = server.add_secure_port(
            "localhost:0", grpc_credentials(security.tls, tls=Tls.model_validate(TLS), mtls=mtls)
        )
        await server.start()
        try:
            assert await call(port, BATCH) == "batch"
            assert await call(port, BATCH, x_api_key=KEY) == "by-key"
            assert await call(port, BATCH, authorization=f"Bearer {KEY}") == "by-key"
            assert await call(port, BATCH, authorization="Bearer lsk_wrong") == "Unauthenticated"
            assert await call(port, issued("clients", "unlisted")) == "Unauthenticated"
            assert await call(port, None, x_api_key=KEY) == "refused"
            assert await call(port, STRANGER, x_api_key=KEY) == "refused"
            renewed = issued("clients-2", uris=["spiffe://example/batch"])
            assert await call(port, renewed) == "refused"
            (folder / "ca.pem").write_bytes(authority("clients-2").pem())
            issued("ca", "server-2", server=True).write(folder, "server")
            deadline = time.monotonic() + 10
            while await call(port, renewed) != "batch":
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            assert await call(port, BATCH) == "refused"
        finally:
            await server.stop(None)

    with started(folder, api_keys="keys.yaml", tls=TLS, mtls=MTLS) as security:
        asyncio.run(scenario(security, Mtls.model_validate(MTLS)))
