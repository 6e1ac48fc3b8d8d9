"""Which version of the spec's model a person asks for, in one word: `@champion`, `17` or `as-published`."""

import re
from dataclasses import dataclass
from typing import Self

from lockstep.errors import ModelChoiceInvalid

AS_PUBLISHED = "as-published"
# Also the JSON Schema patterns of DAG parameters. MLflow's own aliases are letters, digits, `_`, `-` and `.`.
_FIXED = r"@[A-Za-z0-9_.\-]+|[1-9][0-9]*"
FIXED_PATTERN = rf"^({_FIXED})$"
PATTERN = rf"^({_FIXED}|{AS_PUBLISHED})$"


@dataclass(frozen=True)
class ModelChoice:
    """A choice of a version of one registered model.

    Attributes:
        alias: What the alias points at.
        version: This version.
        as_published: The version that made what is live of the partition.
    """

    alias: str | None = None
    version: int | None = None
    as_published: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a choice.

        Raises:
            ModelChoiceInvalid: It is neither an alias nor a version nor `as-published`.
        """
        if not re.fullmatch(PATTERN, text):
            raise ModelChoiceInvalid(text)
        if text == AS_PUBLISHED:
            return cls(as_published=True)
        return cls(alias=text[1:]) if text.startswith("@") else cls(version=int(text))
