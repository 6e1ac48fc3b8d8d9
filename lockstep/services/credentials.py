"""Passwords and keys of one home: made once, readable by their owner only."""

import base64
import contextlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

ADMIN = "admin"


@dataclass(frozen=True)
class Credentials:
    """Secrets of the local Airflow and its database."""

    admin_password: str
    postgres_password: str
    fernet_key: str
    jwt_secret: str
    secret_key: str


def load_or_create(folder: Path) -> tuple[Credentials, bool]:
    """Return the credentials kept in `folder/credentials.json`, made if need be, and whether they were made now.

    Also writes `folder/passwords.json`, the file of Airflow's simple login.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "credentials.json"
    is_new = not file.is_file()
    if is_new:
        made = Credentials(
            admin_password=secrets.token_urlsafe(12),
            postgres_password=secrets.token_hex(16),
            fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            jwt_secret=secrets.token_urlsafe(48),
            secret_key=secrets.token_urlsafe(32),
        )
        _write_private(file, json.dumps(asdict(made), indent=2))
    credentials = Credentials(**json.loads(file.read_text(encoding="utf-8")))
    _write_private(folder / "passwords.json", json.dumps({ADMIN: credentials.admin_password}))
    return credentials, is_new


def _write_private(file: Path, text: str) -> None:
    partial = file.with_suffix(".partial")
    with contextlib.suppress(FileNotFoundError):
        partial.unlink()
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text + "\n")
    partial.replace(file)
