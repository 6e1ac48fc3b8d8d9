"""From the section `security` of serving.yaml to what protects one process of the endpoint."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from lockstep.serving.security.api_keys import follow_keys
from lockstep.serving.security.audit import AuditLog
from lockstep.serving.security.audit_sinks import write_to_file, write_to_log
from lockstep.serving.security.authenticator import Authenticator
from lockstep.serving.security.certificates import CertificateClients, read_der
from lockstep.serving.security.clients import client_with
from lockstep.serving.security.credentials import Credentials, Headers, credentials_from_headers
from lockstep.serving.security.errors import SecurityFileInvalid
from lockstep.serving.security.guard import Guard
from lockstep.serving.security.key_fetching import FetchedKeySet, fetched_key_set
from lockstep.serving.security.key_sets import KeySetFile
from lockstep.serving.security.permits import Permit
from lockstep.serving.security.rate_limit import Pace, RateLimiter
from lockstep.serving.security.reloading import FollowedFiles, Refreshed, Refresher
from lockstep.serving.security.tls import TlsMaterial, follow_tls
from lockstep.serving.security.tokens import TokenVerifier
from lockstep.specs.serving_security import ANY_MODEL, Audit, Jwt, Role, ServingSecurity

MIB = 2**20
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Security:
    """What protects one process of the endpoint.

    Attributes:
        guard: Knows who may do what.
        tls: Certificates to listen with; none: in plain text.
        audit: The audit log.
        open_roles: What everybody may do with every model and without limit: nobody need be asked to let that in.
        fetched: Keys that are fetched, if any.
        refresher: Keeps files and fetched keys up to date.
    """

    guard: Guard
    tls: FollowedFiles[TlsMaterial] | None
    audit: AuditLog
    open_roles: frozenset[Role]
    fetched: FetchedKeySet | None
    refresher: Refresher

    def credentials(self, headers: Headers, *, peer: str, certificate: bytes | None = None) -> Credentials:
        """Read what came with an HTTP request to say who sends it.

        Args:
            headers: Of the request.
            peer: Address of the connection.
            certificate: That the client showed, DER; none: it showed none.
        """
        shown = read_der(certificate) if certificate is not None else None
        return credentials_from_headers(headers, peer=peer, certificate=shown)

    def admit(
        self, credentials: Credentials, *, action: Role, model: str | None = None, request_id: str = ""
    ) -> Permit:
        """Let a request in that is not open to all; call it before the model is looked up. See `Guard.admit`."""
        client = self.guard.admit(credentials, action=action, model=model, request_id=request_id)
        return Permit(self.guard, client, credentials, action=action, model=model, request_id=request_id)

    def start(self) -> None:
        """Fetch what is to be fetched and start the threads; after a fork, in each process."""
        if self.fetched is not None:
            self.fetched.refresh(now=time.monotonic())
        self.refresher.start()
        self.audit.start()

    def close(self) -> None:
        """End the threads; what the audit log has queued is written."""
        self.refresher.close()
        self.audit.close()


def build_security(config: ServingSecurity, *, folder: Path) -> Security:
    """Build what protects the endpoint. Reads all files; nothing runs before `start`.

    Args:
        config: The section `security`.
        folder: That of serving.yaml, where relative paths begin.

    Raises:
        SecurityFileInvalid: A file of keys or certificates cannot be used.
        KeySetInvalid: The file of the identity provider's keys cannot be used.
    """
    keys = None if config.api_keys is None else follow_keys(folder / config.api_keys)
    source = None if config.jwt is None else _key_source(config.jwt, folder=folder)
    tokens = None if config.jwt is None or source is None else TokenVerifier(config.jwt, source)
    names_clients = config.mtls is not None and (config.mtls.clients or config.mtls.others)
    certificates = CertificateClients(config.mtls) if config.mtls is not None and names_clients else None
    anonymous = client_with("anonymous", "anonymous", [config.anonymous]) if config.lets_anonymous_in else None
    authenticator = Authenticator(keys=keys, tokens=tokens, certificates=certificates, anonymous=anonymous)
    tls = None if config.tls is None else follow_tls(config.tls, config.mtls, folder=folder)
    limiter = None if config.rate_limit is None else RateLimiter(config.rate_limit)
    audit = _audit_log(config.audit, folder=folder)
    fetched = source if isinstance(source, FetchedKeySet) else None
    files = source.files if isinstance(source, KeySetFile) else None
    followed: list[Refreshed] = [thing for thing in (keys, tls, files, fetched) if thing is not None]
    return Security(
        Guard(authenticator, limiter=limiter, audit=audit),
        tls,
        audit,
        open_roles=_open_roles(config),
        fetched=fetched,
        refresher=Refresher(followed),
    )


def _open_roles(config: ServingSecurity) -> frozenset[Role]:
    limited = config.authenticates or config.rate_limit is not None or ANY_MODEL not in config.anonymous.models
    # Changes are written to the audit log whoever makes them.
    return frozenset() if limited else frozenset(config.anonymous.roles) - {"admin"}


def _key_source(config: Jwt, *, folder: Path) -> KeySetFile | FetchedKeySet:
    if config.jwks_file is not None:
        return KeySetFile(folder / config.jwks_file, algorithms=config.algorithms)
    return fetched_key_set(config, ca=None if config.jwks_ca is None else folder / config.jwks_ca)


def _audit_log(config: Audit, *, folder: Path) -> AuditLog:
    refusals = Pace(config.refusals_per_s, config.refusal_burst)
    if config.file is None:
        return AuditLog(write_to_log, refusals=refusals)
    path = folder / config.file
    write = write_to_file(path, max_bytes=config.max_mib * MIB)
    try:
        write([])
    except OSError as error:
        problem = f"the audit log cannot be written: {error.strerror or type(error).__name__}"
        raise SecurityFileInvalid(
            path, [problem], advice="Choose another place as audit.file, or free this one"
        ) from error
    return AuditLog(write, refusals=refusals)
