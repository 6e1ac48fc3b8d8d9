"""The head of an HTTP answer."""

import functools
import time
from email.utils import formatdate
from http import HTTPStatus

LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
CLOSE = ("connection", "close")


def write_head(status: int, headers: list[tuple[str, str]], *, size: int, close: bool, old: bool) -> bytes:
    """Write the head of an answer.

    Args:
        status: Of it.
        headers: Names in lower case; without those of the connection and of the body's size.
        size: Of the body, in bytes.
        close: Whether the connection is closed behind it.
        old: Whether the client speaks HTTP/1.0, in which a connection that stays open is named.

    Raises:
        ValueError: A header holds the end of a line.
    """
    lines = [LINES.get(status) or f"HTTP/1.1 {status} \r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers if name != "connection"]
    lines.append(f"content-length: {size}\r\ndate: {_date(int(time.time()))}\r\n")
    if close:
        lines.append("connection: close\r\n")
    elif old:
        lines.append("connection: keep-alive\r\n")
    text = "".join(lines)
    if not text.count("\n") == text.count("\r") == len(lines) + 1:
        raise ValueError("a header holds the end of a line")
    return text.encode("latin-1") + b"\r\n"


@functools.lru_cache(maxsize=1)
def _date(now: int) -> str:
    return formatdate(now, usegmt=True)
