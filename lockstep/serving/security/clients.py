"""Who asks, and what they may do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from lockstep.serving.security.errors import Forbidden
from lockstep.specs.serving_security import ANY_MODEL, Rights, Role

Method = Literal["anonymous", "api_key", "token", "certificate"]
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Client:
    """A client whose name is certain.

    Attributes:
        name: As its key, token or certificate says.
        method: How that is known.
        models: The models of each role that it has. Kept by role: rights from several sources add up, and the right to
            read everything must not widen the right to score one model.
    """

    name: str
    method: Method
    models: Mapping[Role, frozenset[str]] = field(hash=False)

    def may(self, action: Role, model: str | None = None) -> bool:
        """Return whether it may do something, with a model or (none) with what belongs to no model."""
        models = self.models.get(action)
        return models is not None and (model is None or model in models or ANY_MODEL in models)

    @property
    def roles(self) -> frozenset[Role]:
        """What it may do with some model."""
        return frozenset(self.models)


def client_with(name: str, method: Method, rights: Iterable[Rights]) -> Client:
    """Build a client from all the rights that it has."""
    models: dict[Role, frozenset[str]] = {}
    for right in rights:
        for role in right.roles:
            models[role] = models.get(role, NOTHING) | frozenset(right.models)
    return Client(name, method, models)


def authorize(client: Client, *, action: Role, model: str | None = None) -> None:
    """Check that a client may do something. Ask before looking the model up, so that names of others stay unknown.

    Args:
        client: Who asks.
        action: What for.
        model: With which model; none for what belongs to no model, such as the metrics.

    Raises:
        Forbidden: It may not.
    """
    if not client.may(action, model):
        raise Forbidden(client.name, action=action, model=model)
