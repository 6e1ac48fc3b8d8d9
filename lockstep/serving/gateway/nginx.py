"""The configuration of nginx, 1.22 or newer, with nothing but the modules that Debian's package has."""

from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined

from lockstep.serving.gateway.facts import ClientRate, GatewayFacts
from lockstep.serving.gateway.messages import RETRY_S, STRIPPED, refusals
from lockstep.serving.gateway.paths import GRPC, REST

FILE = "nginx.conf"
# What nginx calls each occasion; it answers 400 for some of its own statuses.
OCCASIONS = {
    400: "bad_request",
    404: "unknown",
    405: "unknown",
    408: "slow",
    413: "too_large",
    414: "too_long",
    429: "rate",
    494: "head",
    495: "certificate",
    496: "certificate",
    497: "plaintext",
    500: "internal",
    502: "no_replica",
    503: "unavailable",
    504: "late",
}


def render_nginx(facts: GatewayFacts) -> Mapping[str, str]:
    """Return the files of the gateway by their names."""
    loader = PackageLoader("lockstep.serving.gateway", "templates")
    env = Environment(  # noqa: S701 - no HTML
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    env.filters["rate"] = rate_text
    said = refusals(facts)
    text = env.get_template("nginx.conf.j2").render(
        facts=facts,
        serving=facts.serving,
        limits=facts.serving.limits,
        gateway=facts.gateway,
        said=said,
        occasions={status: said[name] for status, name in OCCASIONS.items()},
        names=OCCASIONS,
        retry_s=RETRY_S,
        forwarded=STRIPPED,
        rest=REST,
        grpc=GRPC,
    )
    return {FILE: text}


def rate_text(rate: ClientRate) -> str:
    """Return a rate as nginx reads it, whole requests a second or a minute; never more than it is."""
    if rate.per_s == int(rate.per_s):
        return f"{int(rate.per_s)}r/s"
    return f"{max(1, int(rate.per_s * 60))}r/m"
