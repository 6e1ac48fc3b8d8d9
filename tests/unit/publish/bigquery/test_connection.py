import pytest
import requests
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, RefreshError

from lockstep.errors import PublishError, WarehouseBusy, WarehouseUnreachable
from lockstep.publish.bigquery.connection import Dataset, dataset_missing, first_line, translated

WHERE = "p/d"


def refused(kind: type[exceptions.GoogleAPICallError], reason: str, message: str = "said") -> Exception:
    return kind(f"POST https://bigquery: {message}", errors=[{"reason": reason, "message": f"{message}\nmore"}])


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (DefaultCredentialsError("hunter2"), PublishError, "application default credentials"),
        (RefreshError("hunter2"), PublishError, "GOOGLE_APPLICATION_CREDENTIALS"),
        (refused(exceptions.Unauthorized, "authError", "hunter2"), PublishError, "were not accepted"),
        (refused(exceptions.Forbidden, "accessDenied"), PublishError, "no permission: said. .* BigQuery Job User"),
        (refused(exceptions.Forbidden, "quotaExceeded"), WarehouseBusy, "a quota of the project is used up: said"),
        (refused(exceptions.Forbidden, "rateLimitExceeded"), WarehouseBusy, "a quota of the project"),
        (exceptions.TooManyRequests("slow down"), WarehouseBusy, "a quota of the project"),
        (exceptions.RetryError("tried", refused(exceptions.Forbidden, "rateLimitExceeded")), WarehouseBusy, "a quota"),
        (exceptions.RetryError("tried", exceptions.ServiceUnavailable("down")), WarehouseUnreachable, "answer: down"),
        (exceptions.ServiceUnavailable("down"), WarehouseUnreachable, "does not answer: down"),
        (requests.exceptions.ConnectionError("no route"), WarehouseUnreachable, "does not answer: no route"),
        (refused(exceptions.BadRequest, "invalidQuery"), PublishError, "failed: said. Nothing was changed."),
    ],
)
def test_each_failure_is_one_error_that_says_what_to_do(error: Exception, kind: type[Exception], said: str) -> None:
    found = translated(error, location=WHERE, consequence="Nothing was changed.")
    assert type(found) is kind
    with pytest.raises(kind, match=said):
        raise found
    assert "hunter2" not in str(found)
    assert "p/d" in str(found)
    assert "\n" not in str(found)


def test_a_message_is_cut() -> None:
    assert first_line(exceptions.BadRequest("x" * 1000)) == "x" * 300
    assert first_line(exceptions.BadRequest("")) == "BadRequest"


def test_a_dataset_that_is_missing_or_elsewhere() -> None:
    missing = dataset_missing(WHERE, region=None, consequence="Nothing was changed.")
    elsewhere = dataset_missing(WHERE, region="EU", consequence="Nothing was changed.")
    assert "there is no such project or dataset" in str(missing)
    assert "the dataset lies in EU" in str(elsewhere)


def test_a_location_is_read() -> None:
    assert Dataset.parsed("p/d") == Dataset("p", "d", "")
    assert Dataset.parsed("p/d/EU").path("t") == "p.d.t"
    assert Dataset.parsed("example.com:p/d").quoted("t") == "`example.com:p.d.t`"
