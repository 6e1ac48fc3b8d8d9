"""How an alert reaches people: Slack's incoming webhook, e-mail, or JSON to a web address.

What a connection or variable holds is read when an alert is sent, and is in no message, log or error of ours.
"""

import html
import json
import logging
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout

from lockstep.specs.alerts_spec import SMTP_CONNECTION, Alert

# For one receiver, whatever it does: a run must not wait for a webhook.
SEND_TIMEOUT_S, ANSWER_TIMEOUT_S = 15.0, 5.0
TRIES = 2
WEB = ("http", "https")

log = logging.getLogger("lockstep.alerts")


@dataclass(frozen=True)
class Message:
    """What people are told.

    Attributes:
        event: Of the spec's `alerts.on`.
        title: One line.
        reason: What went wrong, in the words of the error.
        facts: Names to values.
        links: Names to addresses.
    """

    event: str
    title: str
    reason: str
    facts: dict[str, str]
    links: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return what a webhook gets."""
        head = {"version": 1, "event": self.event, "title": self.title, "reason": self.reason}
        return {**head, "facts": self.facts, "links": self.links}

    def as_slack(self) -> dict[str, Any]:
        """Return what Slack gets: its own marks, and nobody's text read as marks."""
        facts = [f"*{name}:* {_slack(value)}" for name, value in self.facts.items()]
        links = [f"<{address}|{name}>" for name, address in self.links.items()]
        lines = [f"*{_slack(self.title)}*", f"```{_slack(self.reason)}```", *facts, " · ".join(links)]
        return {"text": "\n".join(line for line in lines if line)}

    def as_html(self) -> str:
        """Return what an e-mail holds."""
        rows = [f"<tr><td>{html.escape(n)}</td><td>{html.escape(v)}</td></tr>" for n, v in self.facts.items()]
        links = [f'<a href="{html.escape(address)}">{html.escape(n)}</a>' for n, address in self.links.items()]
        reason = f"<pre>{html.escape(self.reason)}</pre>"
        return f"<h3>{html.escape(self.title)}</h3>{reason}<table>{''.join(rows)}</table><p>{' | '.join(links)}</p>"


def send(alert: Alert, message: Message) -> bool:
    """Send a message; whether it worked. Takes seconds at most, and raises nothing.

    Args:
        alert: Where to.
        message: What.
    """
    try:
        with timeout(SEND_TIMEOUT_S, error_message=f"no end within {SEND_TIMEOUT_S:.0f} s"):
            if alert.to == "email":
                _send_mail(alert, message)
            else:
                _send_json(alert, message)
    except (Exception, AirflowTaskTimeout) as error:  # noqa: BLE001 - an alert that fails must not fail the run
        log.warning("could not tell %s of %s: %s: %s", alert.label, message.event, type(error).__name__, error)
        return False
    log.info("told %s of %s", alert.label, message.event)
    return True


def _send_mail(alert: Alert, message: Message) -> None:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    notifier = SmtpNotifier(
        smtp_conn_id=alert.connection or SMTP_CONNECTION,
        to=list(alert.address),
        subject=message.title,
        html_content=message.as_html(),
        mime_subtype="alternative",
    )
    # Called as such it would read the message as a template.
    notifier.notify({})


def _send_json(alert: Alert, message: Message) -> None:
    address, headers = _address(alert)
    if not address.startswith(tuple(f"{scheme}://" for scheme in WEB)):
        raise ValueError(f"{alert.label} holds no http or https address")
    body = json.dumps(message.as_slack() if alert.to == "slack" else message.as_json()).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "lockstep", **headers}
    request = urllib.request.Request(address, data=body, headers=headers, method="POST")  # noqa: S310 - see above
    opener = urllib.request.build_opener(_NoRedirect)
    for left in reversed(range(TRIES)):
        try:
            with opener.open(request, timeout=ANSWER_TIMEOUT_S):
                return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 or not left:
                raise
        except OSError:
            if not left:
                raise


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would turn the POST into a GET, somewhere else."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none: the answer counts as an error."""


def _address(alert: Alert) -> tuple[str, dict[str, str]]:
    """Return the web address, and headers, that an alert's connection or variable holds."""
    if alert.env is not None:
        if not (address := os.environ.get(alert.env)):
            raise ValueError(f"the environment variable {alert.env} is not set")
        return address, {}
    connection = Connection.get(alert.connection)
    secret, extra = connection.password or "", connection.extra_dejson
    given = extra.get("headers") or {}  # of a connection that is a URI: text
    given = json.loads(given) if isinstance(given, str) else given
    headers = {str(name): str(value) for name, value in given.items()}
    if secret.startswith(WEB):  # all of it, as Slack's own provider has it
        return secret, headers
    address = _base(connection)
    if endpoint := str(extra.get("endpoint") or ""):
        address = f"{address.rstrip('/')}/{endpoint.lstrip('/')}"
    if secret and alert.to == "slack":
        address = f"{address.rstrip('/')}/{secret.lstrip('/')}"
    elif secret:
        headers.setdefault("Authorization", f"Bearer {secret}")
    return address, headers


def _base(connection: Any) -> str:
    """Return the address of a connection without its secret.

    Airflow puts the path of a connection that is given as a URI into the field that its form calls schema.
    """
    host, schema = connection.host or "", connection.schema or ""
    port = f":{connection.port}" if connection.port else ""
    if "://" in host:
        return f"{host}{port}"
    if schema in WEB:
        return f"{schema}://{host}{port}"
    scheme = connection.conn_type if connection.conn_type in WEB else "https"
    return f"{scheme}://{host}{port}/{schema}".rstrip("/") if host else ""


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("```", "'''")
