"""Features of Feast, through its HTTP feature server; nothing of Feast is installed here."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx2
import orjson

from lockstep.serving.features.deadlines import within
from lockstep.serving.features.errors import FeatureSourceInvalid, FeatureSourceUnavailable
from lockstep.serving.features.source import Fetched, Keys, aware, rows_of

PATH = "/get-online-features"
# What Feast says of a value that it has; whether it is too old is not left to its word.
THERE = frozenset({"PRESENT", "OUTSIDE_MAX_AGE"})
UNKNOWN_TIME = dt.datetime.fromtimestamp(0, dt.UTC)
CONNECTIONS = httpx2.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=60.0)


@dataclass(frozen=True)
class FeastSource:
    """A Feast feature server (`feast serve`); see `FeatureSource`.

    Features are named `view:feature`. Feast keeps the latest value of each.

    Attributes:
        name: What messages call it.
        url: Of the server.
        token: Sent as bearer token, if there is one.
    """

    name: str
    url: str
    token: str | None = None

    @cached_property
    def _client(self) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        # The deadline of each request is the only limit of its time.
        return httpx2.AsyncClient(base_url=self.url, headers=headers, limits=CONNECTIONS, timeout=None, trust_env=False)

    async def get(self, keys: Keys, names: Sequence[str], *, deadline: float) -> Fetched:
        """Return features of keys; see `FeatureSource`."""
        rows = rows_of(keys)
        if not rows:
            return Fetched(dict.fromkeys(names, ()), dict.fromkeys(names, ()))
        body = orjson.dumps({"features": list(names), "entities": dict(keys), "full_feature_names": True})
        try:
            async with within(deadline, self.name):
                answer = await self._ask(body)
        except httpx2.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise FeatureSourceUnavailable(self.name, reason=reason) from error
        return self._read(answer, names, rows=rows)

    async def _ask(self, body: bytes) -> httpx2.Response:
        headers = {"Content-Type": "application/json"}
        try:
            return await self._client.post(PATH, content=body, headers=headers)
        except (httpx2.RemoteProtocolError, httpx2.ReadError):  # closed while it was idle
            return await self._client.post(PATH, content=body, headers=headers)

    def _read(self, answer: httpx2.Response, names: Sequence[str], *, rows: int) -> Fetched:
        """Read an answer; the body of an error may hold keys, and is not shown."""
        # 500 is its answer to everything: a store that is down, a feature or a key that it does not know.
        if answer.status_code >= 500 or answer.status_code == 429:
            raise FeatureSourceUnavailable(self.name, reason=f"status {answer.status_code}")
        if answer.status_code != 200:
            problem = f"status {answer.status_code} from {PATH}; are features and keys those of the feature store?"
            raise FeatureSourceInvalid(self.name, problem=problem)
        try:
            found = orjson.loads(answer.content)
            columns = dict(zip(found["metadata"]["feature_names"], found["results"], strict=True))
            read = {name: _column(columns[full_name(name)], rows) for name in names}
        except (ValueError, KeyError, TypeError) as error:
            raise FeatureSourceInvalid(self.name, problem="its answer is not in the form of Feast's") from error
        return Fetched(
            {name: values for name, (values, _) in read.items()}, {name: times for name, (_, times) in read.items()}
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            await self._client.aclose()


def full_name(name: str) -> str:
    """Return what a feature `view:feature` is called in an answer."""
    return name.replace(":", "__", 1)


def _column(column: Mapping[str, Any], rows: int) -> tuple[list[Any], list[dt.datetime | None]]:
    values, statuses, times = column["values"], column["statuses"], column["event_timestamps"]
    if not len(values) == len(statuses) == len(times) == rows:
        raise ValueError("not one value for each key")
    there = [status in THERE and value is not None for status, value in zip(statuses, values, strict=True)]
    moments = [_moment(text) if one else None for text, one in zip(times, there, strict=True)]
    return [value if one else None for value, one in zip(values, there, strict=True)], moments


def _moment(text: str) -> dt.datetime | None:
    moment = aware(dt.datetime.fromisoformat(text))
    return None if moment == UNKNOWN_TIME else moment
