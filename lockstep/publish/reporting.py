"""From a spec's `reporting` to the reporting tables of a warehouse."""

from collections.abc import Mapping
from pathlib import Path

from lockstep.errors import StepOutOfOrder
from lockstep.publish.contract import ReportingTable
from lockstep.specs.input_spec import Source
from lockstep.specs.spec import ScoringSpec
from lockstep.storage.files import Location

# Arrow's name of each column type of a spec.
ARROW_TYPES = {
    "string": "string",
    "int": "int32",
    "long": "int64",
    "double": "double",
    "boolean": "bool",
    "date": "date32[day]",
    "timestamp": "timestamp[us, tz=UTC]",
}


def reporting_tables(spec: ScoringSpec, queries: Mapping[str, Path], *, data_root: Location) -> list[ReportingTable]:
    """Describe the reporting tables of a spec.

    `outcomes` is the table that the scored source comes from, whole: what is known of the day by now.

    Args:
        spec: The spec.
        queries: SQL file of each reporting table.
        data_root: Folder of the source tables.
    """
    if not spec.reporting:
        return []
    current = next(source for source in spec.input.sources.values() if source.is_current)
    columns = {
        name: ARROW_TYPES[kind]
        for source in spec.input.sources.values()
        if source.path == current.path
        for name, kind in source.columns.items()
    }
    return [
        ReportingTable(
            name=name,
            query=_text(queries[name]),
            origin=str(queries[name]),
            spec=spec.name,
            scores=spec.publish.table,
            partition_column=spec.partition.column,
            outcomes_folder=data_root / current.path,
            outcomes_partition=_partition(current),
            outcomes_columns=columns,
        )
        for name in spec.reporting
    ]


def _partition(source: Source) -> str:
    if source.partition is None:  # the spec's own validation: `days` and `partition` go together
        raise ValueError("a source of the scored day has a partition column")
    return source.partition


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StepOutOfOrder("publish", needs=path.name, folder=str(path.parent)) from error
