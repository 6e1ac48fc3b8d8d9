"""OpenLineage of our tasks: which datasets they read and wrote, and which scoring run they are of.

Airflow's OpenLineage provider asks operators for it when it is configured, and sends one pair of events for each
attempt at a task. Nothing of it is imported before it asks.
"""

from typing import TYPE_CHECKING, Any

from lockstep.airflow.facts import folder_of_command
from lockstep.run.folder import RunFolder
from lockstep.run.lineage import lineage_of
from lockstep.storage.files import Location

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage


class LineageMixin:
    """Gives an operator the methods that the provider looks for."""

    task_id: str

    def get_openlineage_facets_on_start(self) -> "OperatorLineage":
        """Return what the task is about to read and write."""
        return operator_lineage(self, folder_of_command(self))

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> "OperatorLineage":
        """Return what the task has read and written."""
        return operator_lineage(self, folder_of_command(self))

    def get_openlineage_facets_on_failure(self, _task_instance: Any) -> "OperatorLineage":
        """Return what the task has read; a table that it did not replace is named without figures."""
        return operator_lineage(self, folder_of_command(self))


def operator_lineage(task: Any, run_folder: Location | None) -> "OperatorLineage":
    """Return the lineage of a task; empty before there is a run folder."""
    from airflow.providers.openlineage.extractors import OperatorLineage

    from lockstep.report.lineage import inputs_of, outputs_of, run_facets_of

    if run_folder is None:
        return OperatorLineage()
    lineage = lineage_of(RunFolder(run_folder), task.task_id)
    return OperatorLineage(inputs=inputs_of(lineage), outputs=outputs_of(lineage), run_facets=run_facets_of(lineage))
