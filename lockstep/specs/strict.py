"""The base of all parts of a spec."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of all spec parts: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
