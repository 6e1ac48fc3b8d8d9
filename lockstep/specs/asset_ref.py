"""Assets of Airflow, as a spec names them."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from lockstep.specs.fields import without_credentials
from lockstep.specs.strict import Strict

MOST_CHARACTERS = 1_500  # what Airflow keeps of a name or an address


def _name(value: str) -> str:
    if not value.strip() or not value.isascii() or len(value) > MOST_CHARACTERS:
        raise ValueError(f"must be 1 to {MOST_CHARACTERS} ASCII characters, and not only blanks")
    return value


def _uri(value: str) -> str:
    if value.lower().startswith("airflow:"):
        raise ValueError("must not begin with airflow:, which Airflow keeps for itself")
    return without_credentials(_name(value))


class AssetRef(Strict):
    """An asset that some DAG, or whoever calls Airflow's API, updates; a text alone is its URI and its name."""

    name: Annotated[str, AfterValidator(_name)] = Field(description="Name, as its producer gives it.")
    uri: Annotated[str, AfterValidator(_uri)] = Field(description="URI, as its producer gives it.")

    @model_validator(mode="before")
    @classmethod
    def _one_text_is_both(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value, "uri": value}
        if isinstance(value, dict) and "uri" in value:
            return {"name": value["uri"], **value}
        return value
