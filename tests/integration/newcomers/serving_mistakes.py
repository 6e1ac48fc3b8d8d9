"""Mistakes with the endpoint: how it is started, and how it is asked."""

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from newcomers.commands import Outcome
from newcomers.mistake import Mistake, Place

KEY_FILE = "{home}/key.txt"
WITH_KEY = ("--key-file", KEY_FILE)
ROWS = "{home}/rows.csv"


def _rows(text: str, *, key: str = "") -> Callable[[Place], None]:
    def make(place: Place) -> None:
        (place.home / "rows.csv").write_text(text)
        (place.home / "key.txt").write_text(key or (place.home.parent / "key.txt").read_text())

    return make


GOOD = "city,age,spend\nbern,40,10.5\n"


def _posted(
    body: str | dict[str, Any], *, key: bool = True, kind: str = "application/json"
) -> Callable[[Mistake, Place], Outcome]:
    """As `curl` sends it."""

    def act(_: Mistake, place: Place) -> Outcome:
        address = urlsplit(place.endpoint)
        headers = {"Content-Type": kind}
        if key:
            headers["Authorization"] = "Bearer " + (place.home.parent / "key.txt").read_text()
        connection = http.client.HTTPConnection(str(address.hostname), int(address.port or 0), timeout=30)
        connection.request("POST", "/invocations", body if isinstance(body, str) else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return Outcome(answer.status, text)

    return act


MISTAKES = (
    Mistake(
        "A port that another program has", ("serve", "churn", "--port", "{taken}"), 4, "LS4023", ("{taken}", "--port")
    ),
    Mistake("A port that is no number", ("serve", "churn", "--port", "http"), 2, "", ("--port", "integer")),
    Mistake(
        "An endpoint for everybody, without keys",
        ("serve", "churn", "--host", "0.0.0.0"),
        4,
        "LS4029",
        ("0.0.0.0", "security"),
    ),
    Mistake("A misspelt spec to serve", ("serve", "chrun"), 3, "LS3001", ("chrun", "Did you mean 'churn'?")),
    Mistake(
        "No endpoint there",
        ("predict", "http://127.0.0.1:9", ROWS),
        75,
        "LS4034",
        ("127.0.0.1:9",),
        make=_rows(GOOD, key="x"),
    ),
    Mistake("No API key", ("predict", "{endpoint}", ROWS), 4, "LS4037", ("--key-file",), make=_rows(GOOD)),
    Mistake(
        "A wrong API key",
        ("predict", "{endpoint}", ROWS, *WITH_KEY),
        4,
        "LS4037",
        ("not accepted", "--key-file"),
        make=_rows(GOOD, key="lsk_wrong.0123456789"),
    ),
    Mistake(
        "A file without a column of the model",
        ("predict", "{endpoint}", ROWS, *WITH_KEY),
        6,
        "LS6027",
        ("spend",),
        make=_rows("city,age\nbern,40\n"),
    ),
    Mistake(
        "A word where a number belongs",
        ("predict", "{endpoint}", ROWS, *WITH_KEY),
        6,
        "LS6025",
        ("spend", "row 0", "expected a number"),
        make=_rows("city,age,spend\nbern,40,ten\n"),
    ),
    Mistake(
        "A file to predict that is not there",
        ("predict", "{endpoint}", "{home}/missing.csv", *WITH_KEY),
        6,
        "LS6026",
        ("missing.csv",),
        make=_rows(GOOD),
    ),
    Mistake(
        "A request with curl and without a key",
        ("curl",),
        401,
        "",
        ("API key",),
        act=_posted({"dataframe_split": {"columns": ["age"], "data": [[1]]}}, key=False),
    ),
    Mistake(
        "A request without a column of the model",
        ("curl",),
        400,
        "",
        ("spend",),
        act=_posted({"dataframe_split": {"columns": ["city", "age"], "data": [["bern", 40]]}}),
    ),
    Mistake(
        "A request with a text where a number belongs",
        ("curl",),
        400,
        "",
        ("spend", "row 0", "number"),
        act=_posted({"dataframe_split": {"columns": ["city", "age", "spend"], "data": [["bern", 40, "ten"]]}}),
    ),
    Mistake(
        "A request in another form than its Content-Type says",
        ("curl",),
        400,
        "",
        ("JSON",),
        act=_posted("city,age,spend\nbern,40,1.5\n"),
    ),
)
