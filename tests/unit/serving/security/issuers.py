"""Real keys, tokens and certificates, made when they are first asked for."""

import datetime as dt
import functools
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from jwt.algorithms import get_default_algorithms

from lockstep.specs.serving_security import Jwt

NOW = 1_800_000_000.0
ISSUER = "https://login.example.com/"
AUDIENCE = "lockstep"
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "nightly", "exp": NOW + 600, "iat": NOW - 1, "scope": "infer profile"}
GRANT = {"claim": "scope", "value": "infer", "models": ["churn"], "roles": ["infer", "read"]}


@dataclass(frozen=True)
class Signer:
    """A private key, its id and its algorithm."""

    key_id: str
    algorithm: str
    key: Any

    def token(self, claims: dict[str, Any] | None = None, **header: Any) -> str:
        named = {"kid": self.key_id, **header}
        content = json.dumps(claims or CLAIMS).encode()
        return jwt.api_jws.encode(content, self.key, self.algorithm, {k: v for k, v in named.items() if v is not None})

    def public(self) -> dict[str, Any]:
        kind: Any = get_default_algorithms()[self.algorithm]
        return {**kind.to_jwk(self.key.public_key(), as_dict=True), "kid": self.key_id, "use": "sig"}

    def pem(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return bytes(self.key.public_key().public_bytes(serialization.Encoding.PEM, form))


@functools.cache
def signer(key_id: str, algorithm: str = "ES256") -> Signer:
    if algorithm.startswith(("RS", "PS")):
        return Signer(key_id, algorithm, rsa.generate_private_key(65537, 2048))
    if algorithm == "EdDSA":
        return Signer(key_id, algorithm, ed25519.Ed25519PrivateKey.generate())
    curve = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}[algorithm]
    return Signer(key_id, algorithm, ec.generate_private_key(curve))


def key_set(*signers: Signer) -> bytes:
    return json.dumps({"keys": [one.public() for one in signers]}).encode()


def jwt_config(**facts: Any) -> Jwt:
    source = {} if "jwks_url" in facts else {"jwks_file": "keys.json"}
    return Jwt.model_validate({"issuer": ISSUER, "audience": AUDIENCE, "grants": [GRANT], **source, **facts})


# --- Certificates ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certified:
    """A private key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def key_pem(self, password: bytes | None = None) -> bytes:
        lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(self.pem())
        key.write_bytes(self.key_pem())
        return certificate, key


def _builder(subject: Sequence[str], key: ec.EllipticCurvePrivateKey, *, days: int) -> x509.CertificateBuilder:
    today = dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text) for text in subject])
    builder = x509.CertificateBuilder().subject_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(today - dt.timedelta(days=30)).not_valid_after(today + dt.timedelta(days=days))


@functools.cache
def authority(name: str) -> Certified:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder([name], key, days=60)
    builder = builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return Certified(key, builder.sign(key, hashes.SHA256()))


def issued(
    by: str, *common_names: str, uris: Sequence[str] = (), dns: Sequence[str] = (), days: int = 30, server: bool = False
) -> Certified:
    parent, key = authority(by), ec.generate_private_key(ec.SECP256R1())
    usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    others: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    others += [x509.DNSName(name) for name in dns]
    if server:
        others += [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = _builder(common_names, key, days=days).issuer_name(parent.certificate.subject)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if others:
        builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
    return Certified(key, builder.sign(parent.key, hashes.SHA256()))
