"""Training sets for Petastorm: the features of a spec for past days, joined with their labels.

The features come from the same query text as in scoring (`lockstep.data.feature_query`). Strings become integer codes,
as Petastorm feeds numbers only; the vocabulary is that of the training days. Written as::

    <out>/train/*.parquet   <feature>: int code or double, label: int
    <out>/valid/*.parquet   the same, later days
    <out>/training_set.json vocabulary, columns, days, rows and the fingerprint of what it was made from
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, StringType, StructType

from lockstep.data.feature_query import feature_frame
from lockstep.data.stored_source import Days, stored_frame
from lockstep.errors import InputError, SpecError
from lockstep.run.identity import canonical_digest
from lockstep.specs.input_spec import Source
from lockstep.specs.loading import LoadedSpec
from lockstep.specs.spec import ScoringSpec
from lockstep.storage.files import Location, names_below
from lockstep.storage.objects import ObjectPath

META_FILE = "training_set.json"
LABEL, OUTCOMES_VIEW = "label", "outcomes"
ORDER = "_order"
FORMAT = 1  # raise it when the files below change, so that old training sets are built anew
FILES_PER_SPLIT = 4
ROW_GROUP_BYTES = 2 * 2**20  # small row groups give Petastorm something to shuffle


class EmptyTrainingSet(InputError):
    """A split has no labelled row."""

    code = "LS6018"

    def __init__(self, split: str, days: Days) -> None:
        super().__init__(
            f"the {split} split has no labelled rows for {days.first} to {days.last}. "
            "Load those days first or choose others."
        )


@dataclass(frozen=True)
class TrainingSpec:
    """What a training set is made of.

    Attributes:
        loaded: The scoring spec, whose feature query is used.
        label_query: SQL over the view `outcomes` that returns the spec's key and an integer column `label`.
        splits: Split name (`train`, `valid`) to days; the vocabulary is that of `train`.
    """

    loaded: LoadedSpec
    label_query: Path
    splits: Mapping[str, Days]

    @property
    def query(self) -> Path:
        """File of the feature query."""
        query = self.loaded.spec.input.query
        if query is None:
            problem = "a training set is made by 'input.query', and this spec scores a table as it is"
            raise SpecError(self.loaded.spec.name, [problem])
        return self.loaded.file(query)

    @property
    def whole(self) -> Days:
        """From the first to the last day of all splits."""
        return Days(min(d.first for d in self.splits.values()), max(d.last for d in self.splits.values()))


def fingerprint(what: TrainingSpec, *, data_root: Location) -> str:
    """Hash what decides the training set: queries, sources, days and the source files (path, size, mtime)."""
    spec = what.loaded.spec
    sources = {name: source.model_dump(mode="json") for name, source in spec.input.sources.items()}
    parts = {
        "format": FORMAT,
        "query": what.query.read_text(encoding="utf-8"),
        "label": what.label_query.read_text(encoding="utf-8"),
        "sources": sources,
        "key": list(spec.carried),
        "splits": {name: [days.first, days.last] for name, days in what.splits.items()},
        "files": [_snapshot(data_root, path) for path in sorted({s.path for s in spec.input.sources.values()})],
    }
    return canonical_digest(parts)


def _snapshot(data_root: Location, table: str) -> list[tuple[str, int, int]]:
    folder = data_root / table
    files = [folder / name for name in sorted(names_below(folder)) if name.endswith(".parquet")]
    if not files:
        raise InputError(f"source table {data_root / table} has no Parquet files. Load the data first.")
    stats = ((file, file.stat()) for file in files)
    return [(str(file).removeprefix(f"{data_root}/"), stat.st_size, stat.st_mtime_ns) for file, stat in stats]


def read_meta(out: Path) -> dict[str, Any] | None:
    """Return the description of the training set in `out`, or None when there is no whole one."""
    try:
        meta: dict[str, Any] = json.loads((out / META_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return meta


def build_training_set(
    spark: SparkSession, what: TrainingSpec, *, data_root: Location, out: Path, made_from: str
) -> dict[str, Any]:
    """Build and write a training set; the folder appears whole or not at all.

    Args:
        spark: A running session, time zone UTC.
        what: Spec, label and days.
        data_root: Folder of the source tables.
        out: Folder to write; what was there is replaced.
        made_from: `fingerprint` of the inputs.

    Returns:
        The description that is also written as `training_set.json`.

    Raises:
        EmptyTrainingSet: A split has no rows.
    """
    spec = what.loaded.spec
    features = feature_frame(spark, spec.input.sources, query=what.query, data_root=data_root, days=what.whole)
    labelled = features.join(_labels(spark, what, data_root=data_root), list(spec.key)).persist()
    categorical, numeric = model_columns(features.schema, spec)
    splits = {name: _between(labelled, spec, days) for name, days in what.splits.items()}
    vocabulary = {name: _values(splits["train"], name) for name in categorical}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        fresh = Path(scratch) / "new"
        counts = {}
        for name, rows in splits.items():
            encoded = _encode(rows, spec, vocabulary=vocabulary, numeric=numeric)
            counts[name] = _write(encoded, fresh / name)
            if counts[name]["rows"] == 0:
                raise EmptyTrainingSet(name, what.splits[name])
        meta = _describe(what, vocabulary=vocabulary, numeric=numeric, counts=counts) | {"fingerprint": made_from}
        (fresh / META_FILE).write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
        _replace(out, fresh=fresh, old=Path(scratch) / "old")
    labelled.unpersist()
    return meta


def model_columns(schema: StructType, spec: ScoringSpec) -> tuple[list[str], list[str]]:
    """Split the query's output into the model's categorical and numeric features.

    Strings are categorical unless they only pass through; doubles are numeric. Other types are key columns.
    """
    strings = [f.name for f in schema if isinstance(f.dataType, StringType) and f.name not in spec.passthrough]
    doubles = [f.name for f in schema if isinstance(f.dataType, DoubleType) and f.name not in spec.carried]
    stray = [f.name for f in schema if f.name not in {*strings, *doubles, *spec.carried}]
    if stray:
        problem = f"the feature query returns {', '.join(stray)}: features must be of type double or string"
        raise SpecError(spec.input.feature_query, [problem])
    return strings, doubles


def _labels(spark: SparkSession, what: TrainingSpec, *, data_root: Location) -> DataFrame:
    current: Source = next(s for s in what.loaded.spec.input.sources.values() if s.is_current)
    partition = str(current.partition)
    root = data_root / current.path
    if isinstance(root, ObjectPath):
        table = stored_frame(spark, current, root, days=what.whole, every_column=True)
    else:
        table = spark.read.parquet(str(root)).withColumn(partition, F.col(partition).cast("date"))
    table.where(F.col(partition).between(what.whole.first, what.whole.last)).createOrReplaceTempView(OUTCOMES_VIEW)
    return spark.sql(what.label_query.read_text(encoding="utf-8"))


def _between(rows: DataFrame, spec: ScoringSpec, days: Days) -> DataFrame:
    return rows.where(F.col(spec.partition.column).between(days.first, days.last))


def _values(rows: DataFrame, column: str) -> list[str]:
    return sorted(row[0] for row in rows.select(column).dropna().distinct().collect())


def _encode(
    rows: DataFrame, spec: ScoringSpec, *, vocabulary: Mapping[str, Sequence[str]], numeric: Sequence[str]
) -> DataFrame:
    """Replace strings by codes (1 + place in the vocabulary, 0: unknown or null); keep the numbers and the label.

    Rows get an order that looks random but is fixed by their keys, so that every build trains the same model.
    """
    codes = [
        F.coalesce(F.array_position(F.array(*map(F.lit, values)), F.col(name)), F.lit(0)).cast("int").alias(name)
        for name, values in vocabulary.items()
    ]
    order = F.xxhash64(*(F.col(name) for name in spec.key)).alias(ORDER)
    encoded = rows.select(order, *codes, *numeric, F.col(LABEL).cast("int").alias(LABEL))
    return encoded.repartition(FILES_PER_SPLIT, ORDER).sortWithinPartitions(ORDER).drop(ORDER)


def _write(rows: DataFrame, path: Path) -> dict[str, int]:
    rows.write.option("parquet.block.size", ROW_GROUP_BYTES).parquet(str(path))
    written = rows.sparkSession.read.parquet(str(path))
    total, positive = written.agg(F.count("*"), F.coalesce(F.sum(LABEL), F.lit(0))).collect()[0]
    return {"rows": total, "positive": positive}


def _describe(
    what: TrainingSpec, *, vocabulary: Mapping[str, Sequence[str]], numeric: Sequence[str], counts: Mapping[str, Any]
) -> dict[str, Any]:
    splits = {
        name: {"first": str(days.first), "last": str(days.last), **counts[name]} for name, days in what.splits.items()
    }
    return {
        "spec": what.loaded.spec.name,
        "model": what.loaded.spec.model.name,
        "output": what.loaded.spec.output.column,
        "categorical": [{"name": name, "values": list(values)} for name, values in vocabulary.items()],
        "numeric": list(numeric),
        "label": LABEL,
        "splits": splits,
    }


def _replace(out: Path, *, fresh: Path, old: Path) -> None:
    if out.exists():
        out.rename(old)
    fresh.rename(out)
