"""Who may call, over gRPC: the same guard as over HTTP."""

from typing import cast

from lockstep.serving.grpc.calls import Call
from lockstep.serving.grpc.servicer import Admit
from lockstep.serving.security.assembly import Security
from lockstep.serving.security.certificates import from_auth_context
from lockstep.serving.security.credentials import credentials_from_metadata
from lockstep.serving.security.permits import Permit
from lockstep.specs.serving_security import Role


def admission(security: Security, *, default: str | None) -> Admit:
    """Return what admits calls.

    Args:
        security: Of the endpoint.
        default: Model of calls that name none.
    """

    def admit(call: Call, action: str, model: str) -> Permit | None:
        role = cast("Role", action)
        if role in security.open_roles:
            return None
        certificate = from_auth_context(call.certified)
        credentials = credentials_from_metadata(call.metadata, peer=call.peer, certificate=certificate)
        about = model or (default if role == "infer" else None)
        permit = security.admit(credentials, action=role, model=about, request_id=call.trace.request_id)
        call.trace.client = permit.client.name
        return permit

    return admit
