"""The endpoint's security over real sockets: uvicorn and gRPC."""

import asyncio
import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import uvicorn
from guarded import KEY, MTLS, TLS, started, until, write_files

from lockstep.errors import LockstepError
from lockstep.serving.security.api_keys import entry_text, new_api_key
from lockstep.serving.security.assembly import Security
from lockstep.serving.security.certificates import from_auth_context
from lockstep.serving.security.credentials import credentials_from_headers, credentials_from_metadata
from lockstep.serving.security.tls import grpc_credentials, server_context
from lockstep.serving.security.tls_protocol import SCOPE_KEY, CertificateProtocol
from lockstep.specs.serving_security import Mtls, Tls
from tests.unit.serving.security.issuers import Certified, authority, issued

BATCH = issued("clients", uris=["spiffe://example/batch"])
STRANGER = issued("others", uris=["spiffe://example/batch"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path)


# --- REST ------------------------------------------------------------------------------------------------------


def application(security: Security) -> Any:
    """Answer with the client's name, or with the name of the error."""

    async def answer(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        credentials = credentials_from_headers(
            scope["headers"], peer=scope["client"][0], certificate=scope.get(SCOPE_KEY)
        )
        try:
            status, text = 200, security.guard.admit(credentials, action="infer", model="churn").name
        except LockstepError as error:
            status, text = 400, type(error).__name__
        await send({"type": "http.response.start", "status": status, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": text.encode()})

    return answer


@contextlib.contextmanager
def rest(security: Security, *, loop: Any = "uvloop") -> Iterator[int]:
    assert security.tls is not None
    context = server_context(security.tls)
    config = uvicorn.Config(
        application(security),
        http=CertificateProtocol,
        loop=loop,
        lifespan="off",
        log_config=None,
        ssl_context_factory=lambda _config, _default: context,
    )
    server = uvicorn.Server(config)
    sock = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        sock.close()


def client_context(folder: Path, own: Certified | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority("ca").pem().decode())
    if own is not None:
        context.load_cert_chain(*own.write(folder, "client"))
    return context


def ask(port: int, folder: Path, own: Certified | None = None, **headers: str) -> str:
    """Return what the application answered, or `refused` when there was no connection."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=client_context(folder, own), timeout=10)
    try:
        connection.request("GET", "/", headers={name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return "refused"
    finally:
        connection.close()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_rest_knows_clients_by_certificate_and_by_key(folder: Path, loop: str) -> None:
    with started(folder, api_keys="keys.yaml", tls=TLS, mtls=MTLS) as security, rest(security, loop=loop) as port:
        assert ask(port, folder, BATCH) == "batch"
        assert ask(port, folder, BATCH, x_api_key=KEY) == "by-key"
        assert ask(port, folder, BATCH, authorization=f"Bearer {KEY}") == "by-key"
        assert ask(port, folder, BATCH, x_api_key="lsk_wrong") == "Unauthenticated"
        assert ask(port, folder, issued("clients", "unlisted")) == "Unauthenticated"
        assert ask(port, folder, None, x_api_key=KEY) == "refused"
        assert ask(port, folder, STRANGER, x_api_key=KEY) == "refused"


def test_rest_asks_for_certificates_that_need_not_be_shown(folder: Path) -> None:
    optional = {**MTLS, "require": False}
    with started(folder, api_keys="keys.yaml", tls=TLS, mtls=optional) as security, rest(security) as port:
        assert ask(port, folder, None, x_api_key=KEY) == "by-key"
        assert ask(port, folder, BATCH) == "batch"
        assert ask(port, folder, None) == "Unauthenticated"
        assert ask(port, folder, STRANGER) == "refused"


def test_rest_takes_new_certificates_and_keys_while_it_runs(folder: Path) -> None:
    with started(folder, api_keys="keys.yaml", tls=TLS, mtls=MTLS) as security, rest(security) as port:
        assert ask(port, folder, BATCH, x_api_key=KEY) == "by-key"
        other, entry = new_api_key("renewed", models=["churn"])
        renewed = issued("clients-2", uris=["spiffe://example/batch"])
        (folder / "keys.yaml").write_text("keys:\n" + entry_text(entry))
        (folder / "ca.pem").write_bytes(authority("clients-2").pem())
        issued("ca", "server-2", server=True).write(folder, "server")
        until(lambda: ask(port, folder, renewed, x_api_key=other) == "renewed")
        assert ask(port, folder, renewed, x_api_key=KEY) == "Unauthenticated"
        assert ask(port, folder, BATCH, x_api_key=other) == "refused"


# --- gRPC ------------------------------------------------------------------------------------------------------


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
