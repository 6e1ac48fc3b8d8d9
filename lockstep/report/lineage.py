"""Lineage as OpenLineage's own classes (imported only where lineage is sent)."""

from collections.abc import Callable
from typing import Any

import attr
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    RunFacet,
    data_quality_assertions_dataset,
    dataset_version_dataset,
    datasource_dataset,
    input_statistics_input_dataset,
    output_statistics_output_dataset,
    schema_dataset,
)

import lockstep
from lockstep.run.lineage import Dataset, Facets, Lineage

PRODUCER = f"urn:lockstep:producer:{lockstep.__version__}"
RUN_FACET = "lockstep_scoringRun"
# `$id` of docs/lineage/1-0-0/LockstepScoringRunRunFacet.json; what changes its meaning gets another number.
SCHEMA_ID = "urn:lockstep:lineage:1-0-0:LockstepScoringRunRunFacet"


@attr.define
class LockstepScoringRunRunFacet(RunFacet):
    """Which scoring run a job run is part of."""

    spec: str
    specHash: str  # noqa: N815 - as it is written
    partition: str
    runKey: str  # noqa: N815
    inputDigest: str  # noqa: N815
    modelName: str  # noqa: N815
    modelVersion: int  # noqa: N815
    modelDigest: str  # noqa: N815
    codeVersion: str  # noqa: N815
    modelAlias: str | None = None  # noqa: N815
    manifestSha256: str | None = None  # noqa: N815
    rowsIn: int | None = None  # noqa: N815
    rowsScored: int | None = None  # noqa: N815
    rowsQuarantined: int | None = None  # noqa: N815
    scorePsi: float | None = None  # noqa: N815

    @property
    def skip_redact(self) -> list[str]:
        """Names of fields in which no secret can be: all of them."""
        return [field.name for field in attr.fields(type(self))]

    @staticmethod
    def _get_schema() -> str:
        return f"{SCHEMA_ID}#/$defs/LockstepScoringRunRunFacet"


def _schema(facts: Facets) -> Any:
    return schema_dataset.SchemaDatasetFacet(
        fields=[schema_dataset.SchemaDatasetFacetFields(**each) for each in facts["fields"]], producer=PRODUCER
    )


def _assertions(facts: Facets) -> Any:
    made = [data_quality_assertions_dataset.Assertion(**each) for each in facts["assertions"]]
    return data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions=made, producer=PRODUCER)


def _plain(kind: Callable[..., Any]) -> Callable[[Facets], Any]:
    return lambda facts: kind(**facts, producer=PRODUCER)


MAKERS: dict[str, Callable[[Facets], Any]] = {
    "schema": _schema,
    "dataQualityAssertions": _assertions,
    "dataSource": _plain(datasource_dataset.DatasourceDatasetFacet),
    "version": _plain(dataset_version_dataset.DatasetVersionDatasetFacet),
    "inputStatistics": _plain(input_statistics_input_dataset.InputStatisticsInputDatasetFacet),
    "outputStatistics": _plain(output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet),
}


def inputs_of(lineage: Lineage) -> list[InputDataset]:
    """Return what was read."""
    return [
        InputDataset(*_names(each), facets=_made(each.facets), inputFacets=_made(each.role_facets))
        for each in lineage.inputs
    ]


def outputs_of(lineage: Lineage) -> list[OutputDataset]:
    """Return what was written."""
    return [
        OutputDataset(*_names(each), facets=_made(each.facets), outputFacets=_made(each.role_facets))
        for each in lineage.outputs
    ]


def run_facets_of(lineage: Lineage) -> dict[str, RunFacet]:
    """Return the facets of the run: ours, once there is a plan."""
    return {RUN_FACET: LockstepScoringRunRunFacet(**lineage.run, producer=PRODUCER)} if lineage.run else {}


def _names(dataset: Dataset) -> tuple[str, str]:
    return dataset.name.namespace, dataset.name.name


def _made(facets: Facets) -> dict[str, Any]:
    return {name: MAKERS[name](facts) for name, facts in facets.items()}
