"""Safe defaults: what other machines can reach is not open unless somebody said so."""

from lockstep.serving.security.errors import ExposureRefused
from lockstep.specs.serving_security import ServingSecurity, is_loopback


def check_exposure(host: str, security: ServingSecurity) -> None:
    """Check, before anything listens, that an address may be listened on.

    Args:
        host: Address or name. Names other than localhost are not looked up: they count as reachable from elsewhere.
        security: How clients are known and connections protected.

    Raises:
        ExposureRefused: Anybody could ask, or listen, and nobody said that this is wanted.
    """
    if is_loopback(host):
        return
    problems = []
    if not security.authenticates and not security.allow_anonymous:
        problems.append(
            "anybody who reaches it could use it: add security.api_keys, security.jwt or security.mtls with clients "
            "(or say security.allow_anonymous: true)"
        )
    if security.tls is None and not security.plaintext:
        problems.append(
            "keys, rows and scores could be read on their way: add security.tls (or say security.plaintext: true, "
            "where a proxy on the way does TLS)"
        )
    if problems:
        raise ExposureRefused(host, problems)
