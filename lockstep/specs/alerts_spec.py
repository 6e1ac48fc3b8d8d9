"""Who is told when a scoring run needs a person. No secret is in a spec: only names of what holds them."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lockstep.specs.strict import Strict

Event = Literal["failed", "refused", "deadline", "canary_aborted", "drift_warning"]
Channel = Literal["slack", "email", "webhook"]
NEEDS_A_PERSON: tuple[Event, ...] = ("failed", "refused", "deadline", "canary_aborted")
SMTP_CONNECTION = "smtp_default"
CONNECTION = re.compile(r"[\w.-]+", re.ASCII)
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+")


def _connection(value: str) -> str:
    if not CONNECTION.fullmatch(value):
        raise ValueError("must be the id of an Airflow connection, which holds address and secret; got something else")
    return value


def _variable(value: str) -> str:
    if not VARIABLE.fullmatch(value):
        raise ValueError("must be the name of an environment variable, such as SCORING_ALERTS_URL; got something else")
    return value


def _address(value: str) -> str:
    if not ADDRESS.fullmatch(value):
        raise ValueError("must be an e-mail address")
    return value


class Alert(Strict):
    """One place that is told, and of what."""

    on: tuple[Event, ...] = Field(NEEDS_A_PERSON, min_length=1, description="What is told.")
    to: Channel = Field(description="How: an incoming webhook of Slack, e-mail, or JSON to a web address.")
    connection: Annotated[str, AfterValidator(_connection)] | None = Field(
        None, description="Id of the Airflow connection that holds address and secret; of e-mail smtp_default."
    )
    env: Annotated[str, AfterValidator(_variable)] | None = Field(
        None, description="Name of the environment variable that holds the web address, instead of a connection."
    )
    address: tuple[Annotated[str, AfterValidator(_address)], ...] = Field((), description="Who gets the e-mail.")

    @model_validator(mode="before")
    @classmethod
    def _read_on(cls, value: Any) -> Any:
        """YAML 1.1 reads a bare `on` as true."""
        if isinstance(value, dict) and True in value and "on" not in value:
            return {("on" if key is True else key): item for key, item in value.items()}
        return value

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.to == "email":
            if not self.address or self.env is not None:
                raise ValueError("an e-mail needs 'address', and the server is a 'connection', not an 'env'")
        elif self.address or (self.connection is None) == (self.env is None):
            raise ValueError(f"{self.to} needs either 'connection' or 'env', and no 'address'")
        return self

    @property
    def label(self) -> str:
        """What logs call it, without a secret."""
        if self.to == "email":
            return f"email {', '.join(self.address)} by {self.connection or SMTP_CONNECTION}"
        return f"{self.to} {self.connection or '$' + str(self.env)}"
