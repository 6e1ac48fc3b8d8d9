"""What an endpoint serves at a moment, as far as its description depends on it."""

import re
from collections.abc import Callable, Sequence
from typing import Literal

from lockstep.run.plan import ModelIdentity
from lockstep.scoring.signature import Signature
from lockstep.serving.fleet import ModelSlot
from lockstep.serving.openapi.rows import csv_example, invocations_examples, invocations_schema, predictions_schema
from lockstep.serving.openapi.tensors import (
    infer_example,
    infer_request_schema,
    infer_response_schema,
    metadata_schema,
)
from lockstep.serving.openapi.values import Schema

# Which versions an operation may be answered by: the default model's, each model's current one, or any loaded one.
Scope = Literal["default", "current", "any"]
Kind = Literal["Invocations", "Predictions", "InferRequest", "InferResponse", "Metadata"]

SCHEMAS: dict[Kind, Callable[[ModelIdentity], Schema]] = {
    "Invocations": lambda identity: invocations_schema(_signature(identity)),
    "Predictions": lambda identity: predictions_schema(_signature(identity)),
    "InferRequest": lambda identity: infer_request_schema(_signature(identity)),
    "InferResponse": infer_response_schema,
    "Metadata": metadata_schema,
}


class View:
    """The loaded versions of models, each with a name for its schemas.

    Args:
        slots: The models.
        default: Name of the one that /invocations asks; none, or of none of them: nothing is known of it.
    """

    def __init__(self, slots: Sequence[ModelSlot], *, default: str | None = None) -> None:
        current = [version.identity for slot in slots for version in slot.answering]
        self._scopes: dict[Scope, list[ModelIdentity]] = {
            "default": [identity for identity in current if identity.name == default],
            "current": current,
            "any": [version.identity for slot in slots for version in slot.versions],
        }
        self.names = [slot.name for slot in slots]
        self._titles: dict[tuple[str, int], str] = {}
        for identity in self._scopes["any"]:
            title = re.sub(r"[^A-Za-z0-9._-]", "_", f"{identity.name}.{identity.version}")
            while title in self._titles.values():
                title += "_"
            self._titles[identity.name, identity.version] = title

    @property
    def versions(self) -> list[str]:
        """Numbers of all loaded versions, as text; each once."""
        return [str(number) for number in sorted({identity.version for identity in self._scopes["any"]})]

    @property
    def schemas(self) -> dict[str, Schema]:
        """The schemas of all versions, by the names that `schema` refers to."""
        found = {}
        for identity in self._scopes["any"]:
            for kind, make in SCHEMAS.items():
                found[f"{self._title(identity)}.{kind}"] = make(identity)
        return found

    def schema(self, kind: Kind, scope: Scope) -> Schema:
        """Refer to the schema of the versions that may answer; when none is loaded, nothing is known of it."""
        titles = [f"{self._title(identity)}.{kind}" for identity in self._scopes[scope]]
        references: Sequence[Schema] = [{"$ref": f"#/components/schemas/{title}"} for title in titles]
        if not references:
            return {"description": "No model is loaded."}
        return references[0] if len(references) == 1 else {"anyOf": list(references)}

    def invocations_examples(self, scope: Scope) -> Schema:
        """Return bodies in MLflow's JSON forms, for the first version."""
        found = self._scopes[scope][:1]
        return invocations_examples(_signature(found[0])) if found else {}

    def infer_examples(self, scope: Scope) -> Schema:
        """Return an inference request for each version."""
        return {
            self._title(identity): {"value": infer_example(_signature(identity))} for identity in self._scopes[scope]
        }

    def csv_examples(self, scope: Scope) -> Schema:
        """Return a CSV body for each version that can be sent one."""
        plain = [identity for identity in self._scopes[scope] if all(c.shape is None for c in identity.inputs)]
        return {self._title(identity): {"value": csv_example(_signature(identity))} for identity in plain}

    def _title(self, identity: ModelIdentity) -> str:
        return self._titles[identity.name, identity.version]


def _signature(identity: ModelIdentity) -> Signature:
    return Signature(identity.inputs, identity.outputs)
