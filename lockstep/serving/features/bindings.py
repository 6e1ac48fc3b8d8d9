"""From `features:` of a served model to the sources that are asked."""

import os
from collections.abc import Mapping, Sequence

from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from lockstep.serving.features.enrichment import BoundSource
from lockstep.serving.features.errors import FeatureSourceInvalid
from lockstep.serving.features.source import FeatureSource
from lockstep.specs.features_spec import FeastFeatures, FeatureBinding, RedisFeatures


def bound_sources(bindings: Sequence[FeatureBinding]) -> tuple[BoundSource, ...]:
    """Return the sources of a model; nothing is connected yet.

    Raises:
        FeatureSourceInvalid: One cannot work as it is configured.
    """
    found = []
    for binding in bindings:
        source = _redis(binding.name, binding.redis) if binding.redis is not None else _feast(binding)
        keys = {name: key.column for name, key in binding.keys.items()}
        found.append(BoundSource(source, keys, binding.inputs, binding.share))
    return tuple(found)


def asked_signature(signature: Signature, bindings: Sequence[FeatureBinding], *, title: str) -> Signature:
    """Return what requests bring: the model's inputs without those filled in, and key columns that are no inputs.

    Args:
        signature: Of the model.
        bindings: What is filled in.
        title: What messages call the model.

    Raises:
        FeatureSourceInvalid: A source fills in what is no input, or a tensor, or reads its key from such a column.
    """
    filled = {name: binding for binding in bindings for name in binding.inputs}
    for name, binding in filled.items():
        _require_plain(signature.inputs_by_name.get(name), name, binding, title=title)
    inputs = {column.name: column for column in signature.inputs if column.name not in filled}
    for binding in bindings:
        for key in binding.keys.values():
            if key.column in filled:
                raise FeatureSourceInvalid(
                    binding.name, problem=f"its key column {key.column!r} is itself filled in by a source"
                )
            inputs.setdefault(key.column, Column(name=key.column, dtype=key.dtype))
            _require_plain(inputs[key.column], key.column, binding, title=title)
    return Signature(tuple(inputs.values()), signature.outputs)


def _require_plain(column: Column | None, name: str, binding: FeatureBinding, *, title: str) -> None:
    if column is None:
        raise FeatureSourceInvalid(binding.name, problem=f"{name!r} is no input of {title}")
    if column.shape is not None:
        raise FeatureSourceInvalid(binding.name, problem=f"{name!r} is a tensor, which a source cannot give")


def _redis(name: str, given: RedisFeatures) -> FeatureSource:
    try:
        from lockstep.serving.features.redis_source import RedisSource
    except ModuleNotFoundError as error:
        raise FeatureSourceInvalid(name, problem=f"the package {error.name} is not installed") from error
    return RedisSource(name, given.location, given.key, given.kinds, given.time_field)


def _feast(binding: FeatureBinding, variables: Mapping[str, str] = os.environ) -> FeatureSource:
    from lockstep.serving.features.feast_source import FeastSource

    given = binding.feast or FeastFeatures(url="")
    token = None
    if given.token_env is not None:
        token = variables.get(given.token_env)
        if not token:
            raise FeatureSourceInvalid(binding.name, problem=f"the variable {given.token_env} has no token")
    return FeastSource(binding.name, given.url, token)
