"""What a gateway passes on: all else is refused, so that nothing new is open before somebody decided so."""

from dataclasses import dataclass

VERSION = "(/versions/[^/]+)?"
SERVICE = "/inference[.]GRPCInferenceService"


@dataclass(frozen=True)
class Passed:
    """Paths, as regular expressions for the whole of them.

    Attributes:
        scored: Rows are scored: limited, repeated, mirrored.
        read: Limited.
        open: Health, for everybody.
        refused: What only a replica itself is asked for.
        streams: Calls over which nothing may come for long; empty: none.
    """

    scored: str
    read: str
    open: str
    refused: str
    streams: str = ""


REST = Passed(
    scored=f"/invocations|/endpoints/[^/]+/invocations|/v2/models/[^/]+{VERSION}/infer",
    read=f"/|/docs|/openapi[.]json|/version|/v2|/v2/repository/index|/v2/models/[^/]+{VERSION}(/ready)?|/models/[^/]+/lookup",
    open="/ping|/health|/v2/health/live|/v2/health/ready",
    refused="/metrics|/status|/status[.]json|/v2/repository/models/.+",
)
GRPC = Passed(
    scored=f"{SERVICE}/ModelInfer",
    read=f"{SERVICE}/(ModelReady|ServerMetadata|ModelMetadata|RepositoryIndex)",
    open=f"{SERVICE}/Server(Live|Ready)|/grpc[.]health[.]v1[.]Health/(Check|List)",
    refused=f"{SERVICE}/RepositoryModel(Load|Unload)",
    streams="/grpc[.]health[.]v1[.]Health/Watch|/grpc[.]reflection[.]v1(alpha)?[.]ServerReflection/ServerReflectionInfo",
)
