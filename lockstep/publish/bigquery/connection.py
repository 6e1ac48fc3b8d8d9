"""Connect to BigQuery with Google's application default credentials, and translate what it answers."""

import os
from dataclasses import dataclass

import requests
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import bigquery

from lockstep.errors import PublishError, WarehouseBusy, WarehouseUnreachable

VARIABLE = "LOCKSTEP_BIGQUERY"
# The client's own variable. Who stands in for Google gets no token of Google's.
EMULATOR = "BIGQUERY_EMULATOR_HOST"
QUOTA = {"quotaExceeded", "rateLimitExceeded", "jobRateLimitExceeded"}
# After these whether a request was carried out is not known; the client has repeated it already.
TRANSIENT = (
    exceptions.ServerError,
    exceptions.RetryError,
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    TransportError,
    ConnectionError,
    TimeoutError,
)
FAILURES = (
    exceptions.GoogleAPIError,
    GoogleAuthError,
    requests.exceptions.RequestException,
    ConnectionError,
    TimeoutError,
)
MOST_CHARACTERS = 300


@dataclass(frozen=True)
class Dataset:
    """Where the tables are.

    Attributes:
        project: Its project, which is billed for the jobs too.
        name: Its name.
        region: Where its data lies, such as `EU`; none: the dataset is asked.
    """

    project: str
    name: str
    region: str = ""

    @classmethod
    def parsed(cls, location: str) -> "Dataset":
        """Read `project/dataset` or `project/dataset/location`."""
        project, name, *region = location.split("/")
        return cls(project, name, *region)

    def path(self, table: str) -> str:
        """Return a table's whole name."""
        return f"{self.project}.{self.name}.{table}"

    def quoted(self, table: str) -> str:
        """Return a table's whole name as SQL has it."""
        return quoted(self.path(table))


def quoted(name: str) -> str:
    """Quote an SQL identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def connect(dataset: Dataset) -> bigquery.Client:
    """Return a client; it has not asked for anything yet but for credentials.

    Raises:
        GoogleAuthError: There are none.
    """
    credentials = AnonymousCredentials() if os.environ.get(EMULATOR) else None  # type: ignore[no-untyped-call]
    return bigquery.Client(project=dataset.project, credentials=credentials, location=dataset.region or None)


def translated(error: BaseException, *, location: str, consequence: str) -> PublishError:
    """Return what an error of the client means here; those after which the same command may do are retryable."""
    error = underlying(error)
    if isinstance(error, TRANSIENT):
        return WarehouseUnreachable(location, reason=first_line(error))
    if isinstance(error, GoogleAuthError | exceptions.Unauthorized):
        return PublishError(
            f"warehouse {location}: Google's application default credentials are missing or were not accepted. "
            f"{consequence} Run where a service account is attached, name a key file in "
            "GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`."
        )
    if isinstance(error, exceptions.TooManyRequests) or reasons(error) & QUOTA:
        return WarehouseBusy(
            f"warehouse {location}: a quota of the project is used up: {first_line(error)}. {consequence} "
            "Run the same command again later, or have the quota raised."
        )
    if isinstance(error, exceptions.Forbidden):
        return PublishError(
            f"warehouse {location}: no permission: {first_line(error)}. {consequence} Give the account the roles "
            "BigQuery Data Editor on the dataset and BigQuery Job User on the project."
        )
    return PublishError(f"warehouse {location} failed: {first_line(error)}. {consequence}")


def dataset_missing(location: str, *, region: str | None, consequence: str) -> PublishError:
    """Return the error of a dataset that is not there, or that lies in another region than the settings say."""
    found = f"the dataset lies in {region}" if region else "there is no such project or dataset"
    return PublishError(
        f"warehouse {location}: {found}. {consequence} Make the dataset (`bq mk --dataset`), or correct {VARIABLE} "
        "(project/dataset or project/dataset/location)."
    )


def underlying(error: BaseException) -> BaseException:
    """Return what made the client give up repeating a request."""
    return error.cause if isinstance(error, exceptions.RetryError) and error.cause else error


def reasons(error: BaseException) -> set[str]:
    """Return the short reasons that BigQuery gives beside a message."""
    found = error.errors if isinstance(error, exceptions.GoogleAPICallError) else ()
    return {str(one.get("reason")) for one in found if isinstance(one, dict)}


def first_line(error: BaseException) -> str:
    """Return what BigQuery or its client said, in one line; of an error about credentials, only its kind."""
    if isinstance(error, GoogleAuthError):
        return type(error).__name__
    said = str(error)
    if isinstance(error, exceptions.GoogleAPICallError):
        told = [str(one["message"]) for one in error.errors if isinstance(one, dict) and one.get("message")]
        said = told[0] if told else str(error.message)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:MOST_CHARACTERS].rstrip(".")
