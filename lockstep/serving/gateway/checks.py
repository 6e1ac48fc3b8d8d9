"""What a serving.yaml may not say together, since a gateway could not keep it."""

from collections.abc import Iterator

from lockstep.specs.gateway_spec import Gateway
from lockstep.specs.serving_security import is_loopback
from lockstep.specs.serving_spec import Serving


def problems_of(serving: Serving, gateway: Gateway) -> list[str]:
    """Return what is wrong, each with what to do."""
    return [*_exposure(serving, gateway), *_replicas(serving, gateway), *_times(serving, gateway)]


def _exposure(serving: Serving, gateway: Gateway) -> Iterator[str]:
    if is_loopback(gateway.host):
        return
    security = serving.security
    if not security.authenticates and not security.allow_anonymous:
        yield (
            f"gateway.host {gateway.host!r} lets other machines in, and anybody could use it: add security.api_keys or "
            "security.jwt (or say security.allow_anonymous: true)"
        )
    if gateway.tls is None and not gateway.plaintext:
        yield (
            f"gateway.host {gateway.host!r} lets other machines in, and keys, rows and scores could be read on their "
            "way: add gateway.tls (or say gateway.plaintext: true)"
        )


def _replicas(serving: Serving, gateway: Gateway) -> Iterator[str]:
    security, told = serving.security, gateway.replicas_tls
    if security.mtls is not None and (security.mtls.clients or security.mtls.others):
        yield (
            "security.mtls gives rights to certificates, which end at a gateway: replicas would take all clients for "
            "the gateway. Give keys (security.api_keys) or tokens (security.jwt), and let gateway.tls.clients_ca ask "
            "for certificates"
        )
    if security.tls is not None and told is None:
        yield "security.tls: the gateway must know the replicas by their certificates: say gateway.replicas_tls"
    if security.tls is None and told is not None:
        yield "gateway.replicas_tls: the replicas speak plain text; add security.tls, or take it out"
    if security.mtls is not None and security.mtls.require and told is not None and told.certificate is None:
        yield "security.mtls: replicas ask the gateway for a certificate too: say gateway.replicas_tls.certificate"


def _times(serving: Serving, gateway: Gateway) -> Iterator[str]:
    if serving.limits.idle_s < 2:
        yield (
            f"limits.idle_s {serving.limits.idle_s:g}: replicas would close connections that the gateway is about to "
            "use; expected 2 or more"
        )
    if 0 < serving.limits.drain_s < 1:
        yield f"limits.drain_s {serving.limits.drain_s:g}: too short for a gateway to turn away; expected 1 or more"
    if gateway.timeout_s is not None and gateway.timeout_s < 0.01:
        yield f"gateway.timeout_s {gateway.timeout_s:g}: expected 0.01 or more"
