"""The part of Airflow's REST API that the demo and `up` use."""

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from lockstep.services.credentials import ADMIN
from lockstep.services.errors import AirflowRefused
from lockstep.services.ports import LOOPBACK

TIMEOUT_S = 30.0
CONFLICT = 409


@dataclass
class AirflowApi:
    """A client that logs in by itself.

    Attributes:
        port: Of the API server.
        password: Of the user `admin`.
    """

    port: int
    password: str = field(repr=False)
    _token: str | None = field(default=None, repr=False)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, **query: str | int) -> Any:
        """Send one request to `/api/v2<path>`; return the decoded answer.

        Raises:
            AirflowRefused: The status is not a success.
        """
        if self._token is None:
            login = {"username": ADMIN, "password": self.password}
            self._token = self._send("POST", "/auth/token", login)["access_token"]
        suffix = f"?{urllib.parse.urlencode(query)}" if query else ""
        return self._send(method, f"/api/v2{path}{suffix}", body)

    def ensure_pool(self, name: str, slots: int) -> None:
        """Create a pool; one that is there keeps the size that somebody gave it."""
        try:
            self.call("POST", "/pools", {"name": name, "slots": slots})
        except AirflowRefused as error:
            if error.status != CONFLICT:
                raise

    def task_log(self, dag_id: str, run_id: str, task_id: str, *, try_number: int, lines: int) -> list[str]:
        """Return the last lines of a task's log."""
        run = urllib.parse.quote(run_id, safe="")
        path = f"/dags/{dag_id}/dagRuns/{run}/taskInstances/{task_id}/logs/{try_number}"
        content = self.call("GET", path).get("content", [])
        texts = [item.get("event", "") if isinstance(item, dict) else str(item) for item in content]
        found = [line for text in texts for line in str(text).splitlines()]
        return [line for line in found if line.strip() and not line.startswith("::")][-lines:]

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{self.port}{path}", data=data, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - always http
                text = response.read()
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:500]
            raise AirflowRefused(f"{method} {path}", status=error.code, detail=detail) from error
        except OSError as error:
            raise AirflowRefused(f"{method} {path}", status=0, detail=str(error)) from error
        return json.loads(text) if text else {}
