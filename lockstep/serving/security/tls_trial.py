"""Certificates are tried out in a process of their own: what Granian's TLS library refuses ends the process.

It refuses some that OpenSSL accepts, such as weak keys and certificates of version 1.
"""

import asyncio
import datetime as dt
import json
import os
import resource
import socket
import ssl
import subprocess
import sys
from typing import Any

from lockstep.serving.listening import BoundServer, ConnectionBounds
from lockstep.serving.security.tls import TlsMaterial

TIMEOUT_S = 60.0
HANDSHAKE_S = 10.0
FIELDS = ("certificate", "key", "authorities")


def refusal_of(material: TlsMaterial) -> str | None:
    """Listen with certificates for a moment and connect; return why that does not work, or none."""
    found = {name: getattr(material, name) for name in FIELDS}
    facts = {name: None if value is None else value.decode("latin-1") for name, value in found.items()}
    sent = json.dumps({**facts, "required": material.required, "minimum": material.minimum})
    command = [sys.executable, "-m", "lockstep.serving.security.tls_trial"]
    try:
        done = subprocess.run(command, input=sent, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"a server with them did not answer within {TIMEOUT_S:g} s"
    if done.returncode == 0:
        return None
    said = [line for line in done.stderr.splitlines() if "Err" in line]
    return f"the server's TLS library refuses them ({said[0].strip() if said else f'exit code {done.returncode}'})"


async def _try_out(material: TlsMaterial) -> None:
    async def nothing(_scope: Any, _protocol: Any) -> None:
        return None

    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = BoundServer(sock, nothing, bounds=ConnectionBounds(), tls=material)
    running = asyncio.create_task(server.run())
    await asyncio.to_thread(_connect, sock.getsockname()[1])
    # At once: all is known, and there is nothing to take down.
    os._exit(1 if running.done() else 0)


def _connect(port: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=HANDSHAKE_S) as sock:
        try:
            context.wrap_socket(sock).close()
        except ssl.SSLError as error:
            # That it asks for our certificate shows that it works.
            if "certificate" not in str(error.reason).lower():
                raise


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold the private key
    facts = json.load(sys.stdin)
    files = {name: None if facts[name] is None else facts[name].encode("latin-1") for name in FIELDS}
    asyncio.run(_try_out(TlsMaterial(**{**facts, **files, "ends": dt.datetime.now(dt.UTC)})))
    os._exit(0)  # not by way of the interpreter's end, which threads of the server may turn into an abort


if __name__ == "__main__":
    _main()
