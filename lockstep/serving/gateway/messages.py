"""What a gateway says itself, in the words of each protocol; what replicas say is passed on as it is."""

from collections.abc import Mapping
from dataclasses import dataclass

from lockstep.serving import invocations, open_inference
from lockstep.serving.gateway.facts import GatewayFacts

RETRY_S = 1
# Headers of clients that are not passed on: only a gateway may say such things, and this one does not.
STRIPPED = (
    "Forwarded",
    "X-Real-IP",
    "X-Client-Cert",
    "X-Client-Verify",
    "X-SSL-Client-Cert",
    "X-SSL-Client-Verify",
    "X-SSL-Client-S-DN",
    "X-Forwarded-Client-Cert",
)


@dataclass(frozen=True)
class Refusal:
    """One thing that a gateway says.

    Attributes:
        status: Of HTTP.
        code: Of gRPC: https://grpc.github.io/grpc/core/md_doc_statuscodes.html.
        text: For people.
        again: Whether it is worth to come back in a moment.
    """

    status: int
    code: int
    text: str
    again: bool = False

    @property
    def mlflow(self) -> str:
        """The body of MLflow's protocol, which has no word for a 502."""
        known = 503 if self.status == 502 else self.status
        return invocations.describe_error(known, self.text).decode()

    @property
    def v2(self) -> str:
        """The body of the Open Inference Protocol."""
        return open_inference.describe_error(self.status, self.text).decode()


def refusals(facts: GatewayFacts) -> Mapping[str, Refusal]:
    """Return what a gateway says, by its occasion."""
    limits = facts.serving.limits
    return {
        "bad_request": Refusal(400, 13, "the request cannot be read as HTTP"),
        "certificate": Refusal(
            400, 16, "this gateway asks clients for a certificate, and none that it accepts was shown"
        ),
        "plaintext": Refusal(400, 13, "this port speaks TLS: use https"),
        "unknown": Refusal(404, 12, "no such endpoint: this path is not served"),
        "not_here": Refusal(403, 7, "a gateway passes on no changes, metrics or status: ask each replica itself"),
        "slow": Refusal(
            408, 4, f"the request did not arrive in time ({limits.body_timeout_s:g} s without a byte of it)"
        ),
        "too_large": Refusal(
            413, 8, f"the body is larger than {facts.body_bytes} bytes; send the rows in several requests"
        ),
        "too_long": Refusal(414, 13, "the address of the request is too long"),
        "rate": Refusal(429, 8, f"the rate limit of this client is reached; try again in {RETRY_S} s", again=True),
        "head": Refusal(431, 13, "the head of the request is too large"),
        "internal": Refusal(500, 13, "the gateway failed"),
        "no_replica": Refusal(502, 14, "no replica of the endpoint answered; try again later", again=True),
        "unavailable": Refusal(503, 14, "the gateway has too much to do; try again later", again=True),
        "late": Refusal(504, 4, f"no replica answered within {facts.timeout_ms / 1000:g} s"),
    }
