"""The parts of `serving.yaml` that say what is looked up while a request is answered."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lockstep.specs.strict import Strict

Action = Literal["reject", "default", "null"]
# `unavailable`: its source gave no answer. `invalid`: the value is not of the declared kind.
FeatureState = Literal["fresh", "stale", "missing", "invalid", "unavailable"]
FeatureKind = Literal["string", "long", "double", "boolean"]
KeyKind = Literal["string", "long", "integer", "boolean"]
Name = Annotated[str, Field(min_length=1)]


class FeaturePolicy(Strict):
    """One feature: where it is, how old it may be, and what is used instead."""

    feature: str = Field(min_length=1, description="What the source calls it.")
    max_age_s: float | None = Field(
        None, gt=0, description="Older values are stale, and so are those of unknown age; none: no value is."
    )
    missing: Action = Field("reject", description="When there is no value, or one that cannot be read.")
    stale: Action = Field("reject", description="When the value is too old.")
    unavailable: Action | None = Field(None, description="When the source gives no answer; none: as 'missing'.")
    default: str | bool | int | float | None = Field(None, description="Used where an action is 'default'.")

    @model_validator(mode="after")
    def _default_is_used(self) -> Self:
        wanted = "default" in {self.missing, self.stale, self.unavailable}
        if wanted != (self.default is not None):
            raise ValueError("'default' goes with an action 'default', and only with one")
        return self

    def action(self, state: FeatureState) -> Action:
        """Return what is done with a value that is not fresh."""
        if state == "stale":
            return self.stale
        return (self.unavailable or self.missing) if state == "unavailable" else self.missing


class RedisFeatures(Strict):
    """Features in Redis: a hash for each key."""

    location: str = Field(pattern=r"^rediss?://", description="URL of the server; its password is in REDISCLI_AUTH.")
    key: str = Field(min_length=1, description="Name of a key's hash, with key columns in braces: `depot:{depot_id}`.")
    kinds: dict[Name, FeatureKind] = Field(min_length=1, description="Fields of the hash, and what their texts are.")
    time_field: str = Field("event_timestamp", min_length=1, description="Field with the time of the event.")


class FeastFeatures(Strict):
    """Features of Feast's feature server."""

    url: str = Field(pattern=r"^https?://", description="Of the feature server.")
    token_env: str | None = Field(None, min_length=1, description="Variable with the bearer token; none: no token.")


class KeyColumn(Strict):
    """A key column of a source: where its value is in a request."""

    column: Name = Field(description="Column of the request: an input of the model, or one beside them.")
    dtype: KeyKind = Field("string", description="Type of a column that is no input of the model.")


class FeatureBinding(Strict):
    """A source of features, and which inputs of the model it fills in."""

    name: Name = Field(description="What messages and metrics call the source.")
    redis: RedisFeatures | None = Field(None, description="Hashes in Redis.")
    feast: FeastFeatures | None = Field(None, description="Feast's feature server.")
    keys: dict[Name, KeyColumn] = Field(min_length=1, description="Key column of the source to column of the request.")
    inputs: dict[Name, FeaturePolicy] = Field(min_length=1, description="Input of the model to feature of the source.")
    share: float = Field(0.3, gt=0, le=1, description="Share of a request's remaining time that the source may take.")

    @model_validator(mode="after")
    def _is_one_source(self) -> Self:
        if (self.redis is None) == (self.feast is None):
            raise ValueError("give either 'redis' or 'feast'")
        looped = sorted({key.column for key in self.keys.values()} & set(self.inputs))
        if looped:
            raise ValueError(f"{looped[0]!r} is both part of the key and filled in")
        return self


def filled_twice(bindings: tuple[FeatureBinding, ...]) -> str | None:
    """Return an input that two sources fill in, or a source that is named twice, if there is one."""
    inputs = [name for binding in bindings for name in binding.inputs]
    names = [binding.name for binding in bindings]
    return next((each for each in (*inputs, *names) if inputs.count(each) > 1 or names.count(each) > 1), None)
