"""The `log:` section of a `serving.yaml`: which answered rows are kept, where, and what of them."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from lockstep.specs.strict import Strict


def _word(value: Any) -> Any:
    """Read YAML's bare null as the word, which is what somebody who writes `age: null` means."""
    return "null" if value is None else value


Policy = Annotated[Literal["keep", "drop", "null", "hash"], BeforeValidator(_word)]


class InferenceLogging(Strict):
    """The inference log of an endpoint."""

    path: str = Field(
        "inference_log", min_length=1, description="Local folder of the log; a relative one is below LOCKSTEP_HOME."
    )
    sample: float = Field(1.0, gt=0, le=1, description="Share of requests that are logged; a request is as a whole.")
    columns: dict[str, Policy] = Field(
        default_factory=dict,
        description="What becomes of a model's column, or of request_id and client: keep, drop, null or hash.",
    )
    unlisted: Policy = Field("keep", description="What becomes of the model's columns that are not listed.")
    salt_file: str | None = Field(None, min_length=1, description="File with the secret that `hash` is keyed with.")
    waiting_rows: int = Field(262_144, ge=1, description="Rows that may wait to be written; more are dropped.")
    waiting_mib: int = Field(128, ge=1, description="MiB that may wait to be written; more is dropped.")
    flush_s: float = Field(1.0, gt=0, description="Seconds after which rows survive a killed process.")
    file_mib: int = Field(64, ge=1, description="A file is finished when it has so many MiB before compression, ...")
    file_s: float = Field(300, gt=0, description="... or after so many seconds, or with the hour.")
    keep_days: int | None = Field(30, ge=1, description="Days that are kept, today's not counted; null: all.")
    keep_gib: float | None = Field(
        None, gt=0, description="Most GiB of each model; the oldest hours go first; null: no bound."
    )

    @model_validator(mode="after")
    def _is_local(self) -> Self:
        if "://" in self.path:
            raise ValueError("'path' must be a local or mounted folder")
        return self

    @model_validator(mode="after")
    def _hash_has_a_salt(self) -> Self:
        if self.salt_file is None and "hash" in (self.unlisted, *self.columns.values()):
            raise ValueError("'hash' needs 'salt_file': without a secret, a hash can be guessed back")
        return self
