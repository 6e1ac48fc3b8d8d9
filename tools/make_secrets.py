"""Make the secrets of `deploy/compose.yaml`, random, in `deploy/secrets/`, which git ignores. What is there stays.

Needs `cryptography`, which the data environment has: `.venv/data/bin/python tools/make_secrets.py`.
"""

import argparse
import datetime as dt
import ipaddress
import json
import os
import secrets
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "secrets"
POSTGRES = ("superuser", "airflow", "mlflow", "warehouse")
TOKENS = ("airflow_secret_key", "airflow_jwt_secret", "alerts_token", "grafana_admin")
CERTIFICATE_DAYS = 365


def main(arguments: list[str]) -> int:
    """Make what is missing, and say what was made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    made = make_secrets(parser.parse_args(arguments).folder)
    print("\n".join(f"made {name}" for name in made) or "nothing to do: all secrets are there")
    return 0


def make_secrets(folder: Path) -> list[str]:
    """Make the files that are missing; return their names.

    The folder is its owner's alone. The files may be read by everybody who gets there: Compose mounts them as they are
    into containers, whose users are others.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    made = [_write(folder, f"postgres_{name}", secrets.token_urlsafe(24)) for name in POSTGRES]
    made += [_write(folder, name, secrets.token_urlsafe(32)) for name in TOKENS]
    made.append(_write(folder, "airflow_fernet_key", urlsafe_b64encode(secrets.token_bytes(32)).decode()))
    made.append(_write(folder, "airflow_users", json.dumps({"admin": secrets.token_urlsafe(18)})))
    for name, driver in (("airflow", "psycopg2"), ("mlflow", "psycopg")):
        password = (folder / f"postgres_{name}").read_text(encoding="utf-8")
        made.append(_write(folder, f"{name}_database", f"postgresql+{driver}://{name}:{password}@postgres:5432/{name}"))
    return [name for name in [*made, *_object_store(folder), *_certificate(folder)] if name]


def _write(folder: Path, name: str, text: str) -> str:
    """Write a file unless it is there; return its name if it was not."""
    try:
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    except FileExistsError:
        return ""
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return name


def _object_store(folder: Path) -> list[str]:
    """One key, as the store reads it and as clients of S3 do; both files or none, since they have to agree."""
    if (folder / "s3_identities").exists() and (folder / "s3_credentials").exists():
        return []
    for name in ("s3_identities", "s3_credentials"):
        (folder / name).unlink(missing_ok=True)
    access, secret = secrets.token_hex(10).upper(), secrets.token_urlsafe(30)
    credentials = [{"accessKey": access, "secretKey": secret}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identities = {"identities": [{"name": "lockstep", "credentials": credentials, "actions": actions}]}
    profile = f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n"
    return [_write(folder, "s3_identities", json.dumps(identities)), _write(folder, "s3_credentials", profile)]


def _certificate(folder: Path) -> list[str]:
    """A certificate of the gateway for this machine, signed by itself: to try out TLS, not to be trusted."""
    if (folder / "gateway_certificate").exists() and (folder / "gateway_key").exists():
        return []
    for name in ("gateway_certificate", "gateway_key"):
        (folder / name).unlink(missing_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.DNSName("gateway"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return [
        _write(folder, "gateway_certificate", certificate.public_bytes(serialization.Encoding.PEM).decode()),
        _write(folder, "gateway_key", pem.decode()),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
