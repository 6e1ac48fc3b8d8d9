"""A gate before a server: on SIGUSR1 it answers every request with 503, on SIGUSR2 it lets them through again.

python gate.py LISTEN_HOST LISTEN_PORT SERVER_HOST SERVER_PORT
"""

import asyncio
import signal
import sys

AWAY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
CHUNK = 1 << 16


class Gate:
    """Passes bytes on, or refuses."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._away = False
        self._open: set[asyncio.StreamWriter] = set()

    def shut(self) -> None:
        """Be away: connections that are open are dropped, as a server that goes down drops them."""
        self._away = True
        for writer in self._open:
            writer.close()

    def reopen(self) -> None:
        """Be back."""
        self._away = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._open.add(writer)
        try:
            if self._away:
                await reader.read(CHUNK)
                writer.write(AWAY)
                await writer.drain()
                return
            there, back = await asyncio.open_connection(*self._server)
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(CHUNK):
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()


async def main(host: str, port: str, server: str, server_port: str) -> None:
    """Serve until the process ends."""
    gate = Gate(server, int(server_port))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, gate.shut)
    loop.add_signal_handler(signal.SIGUSR2, gate.reopen)
    listening = await asyncio.start_server(gate.serve, host, int(port))
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
