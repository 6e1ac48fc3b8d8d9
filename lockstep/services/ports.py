"""Ports on the loopback interface, and whether something answers there."""

import socket
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from lockstep.services.errors import PortBusy
from lockstep.specs.settings_file import layered

LOOPBACK = "127.0.0.1"
MAX_PORT = 65_535
DEFAULTS = {"airflow": 8080, "mlflow": 5000, "endpoint": 8090}
VARIABLES = {name: f"LOCKSTEP_{name.upper()}_PORT" for name in DEFAULTS}


@dataclass(frozen=True)
class Ports:
    """Where the services listen, on 127.0.0.1."""

    airflow: int
    mlflow: int
    endpoint: int
    postgres: int


def choose_ports(environ: Mapping[str, str], *, only_defaults: bool) -> Ports:
    """Take each port from its environment variable, else the default.

    Args:
        environ: Usually `os.environ`; beneath it, the settings file.
        only_defaults: A taken default is an error; otherwise any free port replaces it.

    Raises:
        PortBusy: A port that was asked for is taken.
        SettingsError: A variable is not a port.
    """
    chosen, layers = {}, layered(environ)
    for name in DEFAULTS:
        port, is_given = port_of(name, layers), bool(layers.get(VARIABLES[name]))
        if not is_free(port):
            if is_given or only_defaults:
                raise PortBusy(name, port=port, variable=VARIABLES[name])
            port = free_port()
        chosen[name] = port
    return Ports(**chosen, postgres=free_port())


def port_of(name: str, environ: Mapping[str, str]) -> int:
    """Return the port that a service is to have, free or not.

    Args:
        name: Key of `DEFAULTS`.
        environ: Usually `os.environ`; beneath it, the settings file.

    Raises:
        SettingsError: The variable is not a port.
    """
    layers = layered(environ)
    text = layers.get(VARIABLES[name]) or str(DEFAULTS[name])
    if not text.isdigit() or not 0 < int(text) <= MAX_PORT:
        raise layers.refusal(VARIABLES[name], got=text, expected=f"a port, 1 to {MAX_PORT}")
    return int(text)


def is_free(port: int) -> bool:
    """Whether nothing listens on a port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def answers(url: str, *, timeout_s: float = 2.0) -> bool:
    """Whether a URL answers with a success status."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:  # noqa: S310 - only called with http addresses
            return bool(200 <= response.status < 300)
    except OSError:
        return False
