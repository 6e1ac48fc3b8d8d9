"""The column form: Arrow UDFs over the same Scorer, for DataFrames, Spark SQL and Structured Streaming.

Example:
    score = score_column("flight_delay")
    frame.withColumn("probability_late", score(*score.columns))

    register(spark, "flight_delay")
    spark.sql("SELECT *, lockstep_score('flight_delay', struct(*)) AS probability_late FROM features")

The model is resolved once, on the driver, when the function is made: every row of every query that uses it is scored by
the same version. Spark hands the columns over through the JVM, so a large table is scored faster in the bulk form.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql.functions import col
from pyspark.sql.pandas.functions import arrow_udf

from lockstep.errors import RequestInvalid
from lockstep.registry.resolve import resolve_model
from lockstep.run.plan import Column, ModelIdentity
from lockstep.scoring.outputs import arrow_array
from lockstep.scoring.scorer import ScoredBatch
from lockstep.scoring.signature import Signature
from lockstep.specs.settings import Settings, device
from udfs.checked import checked
from udfs.worker import assigned_device, keep_loaded, load_once

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import SparkSession

FUNCTION = "lockstep_score"
ERROR = "error"
SPARK_TYPES = {
    "string": "string",
    "double": "double",
    "float": "float",
    "integer": "int",
    "long": "bigint",
    "boolean": "boolean",
    "datetime": "timestamp_ntz",
    "float16": "float",
    "uint8": "smallint",
    "int8": "tinyint",
    "int16": "smallint",
}


@dataclass(frozen=True)
class ColumnScorer:
    """A column function of one frozen model; call it with the columns of the signature, in order, or with one struct.

    Attributes:
        model: The version that scores.
        udf: For `spark.udf.register`.
    """

    model: ModelIdentity
    udf: Any

    @property
    def columns(self) -> list["SparkColumn"]:
        """The columns of the signature, in order."""
        return [col(column.name) for column in self.model.inputs]

    def __call__(self, *columns: "SparkColumn | str") -> "SparkColumn":
        """Return the score of a row."""
        scored: SparkColumn = self.udf(*columns)
        return scored


def score_column(
    model: str | ModelIdentity,
    *,
    alias: str | None = "champion",
    version: int | None = None,
    errors: bool = False,
    settings: Settings | None = None,
) -> ColumnScorer:
    """Make a column function of a registered model.

    Args:
        model: Registered name, or a model that is resolved already.
        alias: Alias that is resolved now; not with `version`.
        version: Version number.
        errors: Return a struct of the outputs and of `error`, which says why a row has no score.
        settings: Where registry and node cache are; by default from the environment.

    Returns:
        A function of the signature's columns. It gives the output (a number, or an array for a tensor), a struct when
        the model has several outputs, and null where a row has no score.

    Raises:
        RegistryError: The model cannot be had.
    """
    where = settings or Settings.from_env(os.environ)
    identity = _resolved(model, where, alias=alias, version=version)
    score = _Score(identity, str(where.cache_root), device=device(os.environ), errors=errors)

    def scored(*columns: pa.Array) -> pa.Array:
        return score(columns)

    # The overloads know no function of any number of columns.
    udf = arrow_udf(checked(scored), returnType=score.spark_type)  # type: ignore[call-overload]
    return ColumnScorer(identity, udf)


def register(
    spark: "SparkSession", *models: str | ModelIdentity, name: str = FUNCTION, settings: Settings | None = None
) -> Mapping[str, ModelIdentity]:
    """Register `lockstep_score('<model>', ...)` for Spark SQL.

    Its first argument is the model's name; then come the columns of its signature in order, or one struct, whose fields
    are taken by name. It gives a double: models whose output is something else are registered one by one, with
    `spark.udf.register(name, score_column(model).udf)`.

    Args:
        spark: A session.
        models: Registered names (their champion is taken), or models that are resolved already.
        name: Name of the function.
        settings: Where registry and node cache are; by default from the environment.

    Returns:
        What was resolved, by name.

    Raises:
        RegistryError: A model cannot be had.
        RequestInvalid: A model's output is not one number.
    """
    where = settings or Settings.from_env(os.environ)
    known = {m.name: m for m in (_resolved(model, where, alias="champion", version=None) for model in models)}
    for identity in known.values():
        _check_one_number(identity, name)
    scores = {
        model: _Score(identity, str(where.cache_root), device=device(os.environ), errors=False)
        for model, identity in known.items()
    }

    def scored(model: pa.Array, *columns: pa.Array) -> pa.Array:
        names = model.unique().to_pylist()
        if len(names) > 1 or any(wanted not in scores for wanted in names):
            told = ", ".join(map(repr, names))
            raise RequestInvalid(f"{name} got the model {told}; registered: {', '.join(scores)}")
        if not names:
            return pa.array([], pa.float64())
        return scores[names[0]](columns).cast(pa.float64())

    spark.udf.register(name, arrow_udf(checked(scored), returnType="double"))  # type: ignore[call-overload]
    return known


def _resolved(
    model: str | ModelIdentity, settings: Settings, *, alias: str | None, version: int | None
) -> ModelIdentity:
    if isinstance(model, ModelIdentity):
        return model
    return resolve_model(settings.tracking_uri, model, alias=None if version is not None else alias, version=version)


def _check_one_number(model: ModelIdentity, name: str) -> None:
    if len(model.outputs) > 1 or model.outputs[0].shape is not None or model.outputs[0].dtype == "string":
        raise RequestInvalid(
            f"{name} gives one number, and model {model.name} version {model.version} has the outputs "
            f"{', '.join(column.name for column in model.outputs)}. Register it by itself: "
            f"spark.udf.register('{model.name}', score_column('{model.name}').udf)"
        )


@dataclass(frozen=True)
class _Score:
    """What travels to the workers: the frozen model, not the loaded one."""

    model: ModelIdentity
    cache_root: str
    device: str
    errors: bool

    @property
    def spark_type(self) -> str:
        """The Spark type of the result."""
        types = [f"{column.name} {_spark_type(column)}" for column in self.model.outputs]
        if self.errors:
            return f"struct<{', '.join(_field(text) for text in [*types, f'{ERROR} string'])}>"
        return f"struct<{', '.join(map(_field, types))}>" if len(types) > 1 else _spark_type(self.model.outputs[0])

    def __call__(self, columns: Sequence[pa.Array]) -> pa.Array:
        """Score a batch of columns."""
        scorer, _ = load_once(self.model, self.cache_root, device=assigned_device(self.device))
        scored = scorer.score(self._batch(columns), where="the query")
        keep_loaded(self.model.digest)
        outputs = [_nulled(array, scored) for array in self._arrays(scored)]
        if len(outputs) == 1 and not self.errors:
            return outputs[0]
        names = [column.name for column in self.model.outputs]
        if self.errors:
            rows = range(len(outputs[0]))
            outputs.append(pa.array([scored.reasons.get(row) for row in rows], pa.string()))
            names.append(ERROR)
        return pa.StructArray.from_arrays(outputs, names=names)

    def _batch(self, columns: Sequence[pa.Array]) -> pa.RecordBatch:
        if len(columns) == 1 and pa.types.is_struct(columns[0].type):
            return pa.RecordBatch.from_struct_array(columns[0])
        names = [column.name for column in self.model.inputs]
        if len(columns) != len(names):
            raise RequestInvalid(f"the model has {len(names)} inputs ({', '.join(names)}), got {len(columns)} columns")
        return pa.RecordBatch.from_arrays(list(columns), names=names)

    def _arrays(self, scored: ScoredBatch) -> list[pa.Array]:
        signature = Signature(self.model.inputs, self.model.outputs)
        arrays = []
        for column, values in zip(signature.outputs, scored.outputs, strict=True):
            array = arrow_array(column, values)
            # Spark knows lists, not lists of a fixed size.
            arrays.append(array if column.shape is None else array.cast(pa.list_(array.type.value_type)))
        return arrays


def _nulled(array: pa.Array, scored: ScoredBatch) -> pa.Array:
    if not scored.reasons:
        return array
    bad = pa.array([row in scored.reasons for row in range(len(array))])
    return pa.compute.if_else(bad, pa.scalar(None, array.type), array)


def _spark_type(column: Column) -> str:
    kind = SPARK_TYPES[column.dtype]
    return kind if column.shape is None else f"array<{kind}>"


def _field(text: str) -> str:
    name, _, kind = text.partition(" ")
    return f"`{name}`: {kind}"
