"""A typed client of the endpoint.

Example:
    with Client("http://127.0.0.1:8080") as client:
        prediction = client.predict(frame)
    print(prediction.table, prediction.version)
"""

from lockstep.client.answers import Answer, Interface, Listed, Prediction
from lockstep.client.client import Client
from lockstep.client.errors import (
    AccessRefused,
    AnswerInvalid,
    AnswerTooLate,
    ConnectionFailed,
    DeadlineRefused,
    EndpointBusy,
    EndpointFailed,
    ModelNotServed,
    Refusal,
    RequestRefused,
    RequestTooLarge,
    RowsUnfit,
    TargetInvalid,
    Unanswered,
    VersionsDiffer,
)

__all__ = [
    "AccessRefused",
    "Answer",
    "AnswerInvalid",
    "AnswerTooLate",
    "Client",
    "ConnectionFailed",
    "DeadlineRefused",
    "EndpointBusy",
    "EndpointFailed",
    "Interface",
    "Listed",
    "ModelNotServed",
    "Prediction",
    "Refusal",
    "RequestRefused",
    "RequestTooLarge",
    "RowsUnfit",
    "TargetInvalid",
    "Unanswered",
    "VersionsDiffer",
]
