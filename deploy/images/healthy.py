"""Ask an endpoint whether it is ready: exit code 0 if it is. For health checks of containers and `helm test`.

Needs only the standard library, and no key: readiness is open to everybody. The certificate is not looked at, since
nothing is sent that anybody might not read.
"""

import ssl
import sys
import urllib.error
import urllib.request

DEFAULT = "http://127.0.0.1:8080"
TIMEOUT_S = 4.0


def main(arguments: list[str]) -> int:
    """Print what was found out."""
    url = f"{arguments[0] if arguments else DEFAULT}/v2/health/ready"
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S, context=unverified) as answer:  # noqa: S310  # see DEFAULT
            print(f"{url}: {answer.status}")
    except OSError as error:  # refused, no TLS, or a status that means not ready
        print(f"{url}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
