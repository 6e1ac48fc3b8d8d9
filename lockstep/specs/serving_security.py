"""Who may ask the endpoint, and how: the section `security` of `serving.yaml`, and the file of API keys.

Neither holds a secret: keys are stored as hashes, private keys and certificates stay in files of their own.
"""

import ipaddress
import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator

from lockstep.specs.fields import without_credentials
from lockstep.specs.strict import Strict

Role = Literal["infer", "read", "admin", "metrics"]
# Only asymmetric ones: an endpoint that checks tokens must not hold what can make them.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]

ANY_MODEL = "*"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:/-]{0,127}")
HASH = re.compile(r"(sha256|blake2b):[0-9a-f]{64}")


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError("must be 1 to 128 letters, digits and ._@:/- and begin with a letter or digit")
    return value


def _hash(value: str) -> str:
    if not HASH.fullmatch(value):
        # What is here instead may be the key itself, so it is not repeated.
        raise ValueError("must be 'sha256:' or 'blake2b:' and 64 lower-case hexadecimal digits, never the key itself")
    return value


def _file(value: str) -> str:
    if not value or "\0" in value or "-----BEGIN" in value:
        raise ValueError("must be the path of a file (relative ones are beside serving.yaml), not its content")
    return value


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine for certain; names other than localhost are not looked up."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _jwks_url(value: str) -> str:
    parts = urlsplit(without_credentials(value))
    if parts.username is not None or not parts.hostname or parts.fragment:
        raise ValueError("must be an address such as https://login.example.com/keys.json, without user and fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("must begin with https:// (http:// only on this machine): who can change the keys can log in")
    return value


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Name = Annotated[str, AfterValidator(_name)]
File = Annotated[str, AfterValidator(_file)]
JwksUrl = Annotated[str, AfterValidator(_jwks_url)]
Words = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_listed), Field(min_length=1)]


class Rights(Strict):
    """What a client may do, with which models."""

    models: Words = Field(description="Names of registered models, or '*' for all.")
    roles: tuple[Role, ...] = Field(
        ("infer", "read"), min_length=1, description="infer: scores; read: metadata; admin: load, unload, roll back."
    )


class ApiKeyEntry(Rights):
    """One API key; a client may have several while it changes from one to the next."""

    name: Name = Field(description="Who uses it: in logs, in the audit log, and for rate limits.")
    hash: Annotated[str, AfterValidator(_hash)] = Field(description="Hash of the key.")
    expires: AwareDatetime | None = Field(None, description="From when it is refused, with time zone; none: never.")


class ApiKeyFile(Strict):
    """The file of API keys."""

    keys: tuple[ApiKeyEntry, ...] = Field(description="All of them; a key that is taken out is refused.")

    @model_validator(mode="after")
    def _hashes_differ(self) -> Self:
        first: dict[str, str] = {}
        for entry in self.keys:
            if entry.hash in first:
                raise ValueError(f"{first[entry.hash]!r} and {entry.name!r} have the same key; each needs its own")
            first[entry.hash] = entry.name
        return self


class Grant(Rights):
    """Rights of the tokens that have a value in a claim; without claim and value, of every valid token."""

    claim: Words | None = Field(None, description="Name of the claim; a list is a path into nested claims.")
    value: str | None = Field(None, min_length=1, description="The value, an item of the list, or a word of the text.")

    @model_validator(mode="after")
    def _claim_with_value(self) -> Self:
        if (self.claim is None) != (self.value is None):
            raise ValueError("needs both 'claim' and 'value', or neither (then every valid token has these rights)")
        return self


class Jwt(Strict):
    """Tokens of an identity provider."""

    issuer: str = Field(min_length=1, description="Exact value of the claim iss.")
    audience: Words = Field(description="One of these must be in the claim aud.")
    jwks_file: File | None = Field(None, description="File with the provider's public keys (a JSON Web Key Set).")
    jwks_url: JwksUrl | None = Field(None, description="Or where to fetch it.")
    jwks_ca: File | None = Field(None, description="Certificates that vouch for jwks_url instead of the system's.")
    algorithms: tuple[Algorithm, ...] = Field(
        ("RS256", "ES256", "EdDSA"), min_length=1, description="Signatures that are accepted."
    )
    client_claim: Words = Field(("sub",), description="Claim that names the client; a list is a path.")
    grants: tuple[Grant, ...] = Field(min_length=1, description="Which tokens may do what; rights add up.")
    leeway_s: float = Field(30, ge=0, le=300, description="Difference of clocks that is forgiven.")
    refresh_s: float = Field(600, ge=10, le=86_400, description="How often jwks_url is fetched.")
    timeout_s: float = Field(5, gt=0, le=60, description="How long a fetch may take.")
    max_age_s: float = Field(86_400, ge=60, description="How old fetched keys may be while the provider is away.")
    cached: int = Field(10_000, ge=1, le=1_000_000, description="Verified tokens that are remembered.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.jwks_file is None) == (self.jwks_url is None):
            raise ValueError("needs exactly one of 'jwks_file' and 'jwks_url'")
        if self.jwks_ca is not None and self.jwks_url is None:
            raise ValueError("'jwks_ca' is for 'jwks_url'")
        if self.refresh_s > self.max_age_s:
            raise ValueError("'refresh_s' must not be longer than 'max_age_s'")
        return self


class Tls(Strict):
    """The endpoint's own certificate."""

    certificate: File = Field(description="PEM file: the certificate, then those between it and the root.")
    key: File = Field(description="PEM file with its private key, not encrypted.")
    minimum: Annotated[Literal["1.2", "1.3"], BeforeValidator(str)] = Field("1.2", description="Oldest TLS version.")


class CertificateClient(Rights):
    """A client that is known by its certificate: one of the four names in it."""

    name: Name = Field(description="Who it is: in logs, in the audit log, and for rate limits.")
    uri: str | None = Field(None, min_length=1, description="URI among the alternative names, such as a SPIFFE id.")
    dns: str | None = Field(None, min_length=1, description="DNS name among them; no patterns.")
    email: str | None = Field(None, min_length=1, description="E-mail address among them.")
    common_name: str | None = Field(None, min_length=1, description="Common name of the subject.")

    @model_validator(mode="after")
    def _one_match(self) -> Self:
        if sum(value is not None for value in (self.uri, self.dns, self.email, self.common_name)) != 1:
            raise ValueError("needs exactly one of 'uri', 'dns', 'email' and 'common_name'")
        return self


class Mtls(Strict):
    """Certificates of clients."""

    ca: File = Field(description="PEM file with the authorities whose certificates are accepted.")
    require: bool = Field(
        True, description="Refuse connections without one; false: REST checks it when there is one, gRPC does not ask."
    )
    clients: tuple[CertificateClient, ...] = Field(
        (), description="Over gRPC: who is who; the first that fits counts. REST does not learn whose it is."
    )
    others: Rights | None = Field(
        None, description="Rights of other accepted certificates, over REST of all of them; none: no rights."
    )

    @model_validator(mode="after")
    def _shown_for_rights(self) -> Self:
        if not self.require and (self.clients or self.others):
            raise ValueError(
                "'clients' and 'others' need 'require: true': without it REST does not learn whether a certificate "
                "was shown, and gRPC does not ask for one"
            )
        return self


class Rate(Strict):
    """How much one client may ask for, in each process of the endpoint."""

    requests_per_s: float | None = Field(None, gt=0, description="Requests a second; none: no limit.")
    request_burst: int | None = Field(None, ge=1, description="Requests at once after a pause; none: one second's.")
    rows_per_s: float | None = Field(None, gt=0, description="Rows a second; none: no limit.")
    row_burst: int | None = Field(None, ge=1, description="Rows at once, so also of one request; none: one second's.")

    @model_validator(mode="after")
    def _burst_of_a_rate(self) -> Self:
        for burst, rate in (("request_burst", "requests_per_s"), ("row_burst", "rows_per_s")):
            if getattr(self, burst) is not None and getattr(self, rate) is None:
                raise ValueError(f"{burst!r} needs {rate!r}")
        return self


class RateLimit(Rate):
    """Limits of each client, and of those that differ."""

    clients: dict[Name, Rate] = Field({}, description="By name of the client, instead of the above.")
    anonymous: Rate | None = Field(None, description="Of each address without credentials; none: as the above.")
    buckets: int = Field(10_000, ge=1, le=1_000_000, description="Clients that are counted apart at a time.")


class Audit(Strict):
    """Where it is written who changed what, and who was refused."""

    file: File | None = Field(None, description="JSON lines; none: the log, as lockstep.audit.")
    refusals_per_s: float = Field(1, gt=0, le=1000, description="Refusals that are written, a second.")
    refusal_burst: int = Field(60, ge=1, description="Refusals that are written at once after a pause.")
    max_mib: int = Field(1024, ge=1, description="Size of the file from which only changes are written, not refusals.")


class ServingSecurity(Strict):
    """Who may ask the endpoint, and how."""

    api_keys: File | None = Field(None, description="File of API keys, as `lockstep key new` makes its entries.")
    jwt: Jwt | None = Field(None, description="Tokens of an identity provider.")
    tls: Tls | None = Field(None, description="The endpoint's own certificate.")
    mtls: Mtls | None = Field(None, description="Certificates of clients.")
    rate_limit: RateLimit | None = Field(None, description="How much one client may ask for.")
    audit: Audit = Field(Audit(), description="Who changed what, and who was refused.")
    allow_anonymous: bool = Field(False, description="Whether requests without credentials are answered anywhere.")
    anonymous: Rights = Field(
        Rights(models=(ANY_MODEL,), roles=("infer", "read", "metrics")), description="What those may do."
    )
    plaintext: bool = Field(False, description="Whether other machines may connect without TLS.")

    @model_validator(mode="after")
    def _somebody_gets_in(self) -> Self:
        if self.mtls is not None and self.tls is None:
            raise ValueError("'mtls' needs 'tls': clients show certificates over TLS only")
        if self.mtls is not None and not (self.authenticates or self.allow_anonymous):
            raise ValueError("nobody has rights: say mtls.clients or mtls.others, or add 'api_keys' or 'jwt'")
        return self

    @property
    def authenticates(self) -> bool:
        """Whether there is any way to say who one is."""
        by_certificate = self.mtls is not None and bool(self.mtls.clients or self.mtls.others)
        return self.api_keys is not None or self.jwt is not None or by_certificate

    @property
    def lets_anonymous_in(self) -> bool:
        """Whether a request without credentials is answered: when it is said so, or nobody could show any."""
        return self.allow_anonymous or not self.authenticates
