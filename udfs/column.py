"""The column form: a `pandas_udf` over the same Scorer, for interactive use and from SQL.

Example:
    score = score_column(identity, cache_root)
    frame.withColumn("probability_late", score(*identity_columns(identity)))

    spark.udf.register("score_flight_delay", score)
    spark.sql("SELECT *, score_flight_delay(carrier, origin, ...) FROM features")
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from pyspark.sql.functions import col
from pyspark.sql.pandas.functions import pandas_udf

from lockstep.run.plan import ModelIdentity
from lockstep.scoring.signature import Signature
from udfs.worker import load_once

if TYPE_CHECKING:
    from pyspark.sql import Column


def identity_columns(model: ModelIdentity) -> list["Column"]:
    """Return the columns of the signature, in the order in which `score_column` takes them."""
    return [col(column.name) for column in model.inputs]


def score_column(model: ModelIdentity, cache_root: str) -> Any:
    """Make a column function of a frozen model.

    Args:
        model: Resolved once on the driver, so that every worker scores with the same version.
        cache_root: Node cache of artifacts.

    Returns:
        A UDF of the signature's columns, in order, that gives a double; null where the row has no score.
    """
    schema = Signature(model.inputs, model.outputs).schema()

    def score(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.Series]:
        scorer, _ = load_once(model, cache_root)
        for series in batches:
            columns = [pa.Array.from_pandas(s, type=f.type) for s, f in zip(series, schema, strict=True)]
            scored = scorer.score(pa.RecordBatch.from_arrays(columns, schema=schema))
            yield pd.Series(scored.values)  # NaN becomes null on its way to Spark

    # pandas_udf reads the hints at run time to tell an iterator of several columns from a plain one.
    score.__annotations__ = {"batches": Iterator[tuple[pd.Series, ...]], "return": Iterator[pd.Series]}
    return pandas_udf(score, "double")  # type: ignore[call-overload] # the overloads know no such iterator
