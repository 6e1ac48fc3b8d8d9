"""Requests over HTTP: connections that stay open, one for each thread that needs one, and answers as they came."""

import http.client
import json
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from lockstep.client.access import Access
from lockstep.client.errors import AnswerTooLate, ConnectionFailed
from lockstep.client.patience import Deadline

# Connections that are kept open while nobody uses them.
IDLE_CONNECTIONS = 8
# A connection that was open before may have been closed by the server in the same moment.
STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


@dataclass(frozen=True)
class Answered:
    """An answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpTransport:
    """Sends requests to one endpoint; may be used by several threads."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._tls = access.context()
        self._idle: deque[http.client.HTTPConnection] = deque()

    def send(
        self,
        method: str,
        path: str,
        *,
        deadline: Deadline,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """Send one request.

        Args:
            method: GET or POST.
            path: Quoted, with a slash in front.
            deadline: For connecting, sending and each part of the answer.
            body: Of the request.
            headers: Of the request; credentials are added.

        Raises:
            AnswerTooLate: The deadline passed.
            ConnectionFailed: There is no connection, or it broke.
        """
        sent = {**self._access.headers, **(headers or {})}
        connection = self._taken()
        reused = connection.sock is not None
        try:
            try:
                return self._exchange(connection, method, path, deadline=deadline, body=body, headers=sent)
            except STALE:
                if not reused:
                    raise
                # Nothing came of an answer, and scoring changes nothing: once more, over a new connection.
                connection.close()
                return self._exchange(connection, method, path, deadline=deadline, body=body, headers=sent)
        except TimeoutError as error:
            raise AnswerTooLate(self._access.url, timeout_s=deadline.timeout_s) from error
        except (OSError, http.client.HTTPException) as error:
            refused = isinstance(error, ConnectionRefusedError)
            raise ConnectionFailed(self._access.url, problem=_problem(error), refused=refused) from error

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        *,
        deadline: Deadline,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Answered:
        connection.timeout = deadline.require(self._access.url)
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        try:
            try:
                connection.request(method, self._access.prefix + path, body, dict(headers))
            except (BrokenPipeError, ConnectionResetError):
                if connection.sock is None or not body:
                    raise
                # A server that refuses a large body answers and closes before it has read all of it.
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            answer = Answered(response.status, found, response.read())
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _taken(self) -> http.client.HTTPConnection:
        try:
            return self._idle.pop()
        except IndexError:
            access = self._access
            if self._tls is None:
                return http.client.HTTPConnection(access.host, access.port)
            return http.client.HTTPSConnection(access.host, access.port, context=self._tls)

    def close(self) -> None:
        """Close all connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()


def error_text(content: bytes) -> str:
    """Return the message of an error, in the form of either protocol."""
    try:
        answer = json.loads(content)
        return str(answer.get("error") or answer.get("message"))
    except (ValueError, AttributeError):
        return "a body that is not JSON"


def _problem(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that is not trusted: {error.verify_message}; is another CA needed?"
    return f"does not answer: {str(error) or type(error).__name__}"
