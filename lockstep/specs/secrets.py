"""URLs and connection strings without their secrets, for what people read."""

import re
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "***"
# name=value of a query or a connection string, where the name says that it is a secret.
PARAMETER = re.compile(r"(?i)\b([\w-]*(?:password|passwd|pwd|secret|token|key|credential|sig|signature)=)[^&;\s]+")
# What urlsplit may refuse to read: user:password before a host.
USERINFO = re.compile(r"(?<=://)[^/@\s]*:[^/\s]*(?=@)")


def without_secrets(text: str) -> str:
    """Return a text with the password of a URL, and parameters that may be secrets, replaced by `***`."""
    try:
        parts = urlsplit(text)
        if parts.password is not None:
            host = parts.netloc.rpartition("@")[2]
            text = urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{HIDDEN}@{host}"))
    except ValueError:
        pass  # no URL after all
    return PARAMETER.sub(rf"\g<1>{HIDDEN}", USERINFO.sub(HIDDEN, text) if HIDDEN not in text else text)
