"""The OpenLineage events of `lockstep run`: one pair for each day, where somebody has set a transport.

In Airflow its provider sends the events of tasks, which never call `lockstep run`: nothing is told twice.
"""

import contextlib
import datetime as dt
import json
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lockstep.errors import LockstepError
from lockstep.run.folder import RunFolder
from lockstep.run.lineage import lineage_of

if TYPE_CHECKING:
    from openlineage.client.client import OpenLineageClient
    from openlineage.client.event_v2 import RunEvent

# What Airflow is configured by works here too; the others are those of OpenLineage's own client.
TRANSPORT = "AIRFLOW__OPENLINEAGE__TRANSPORT"
CLIENTS_OWN = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
CLIENTS_PREFIX = "OPENLINEAGE__TRANSPORT"
NAMESPACES = ("AIRFLOW__OPENLINEAGE__NAMESPACE", "OPENLINEAGE_NAMESPACE")
OFF = ("OPENLINEAGE_DISABLED", "AIRFLOW__OPENLINEAGE__DISABLED")

log = logging.getLogger("lockstep.lineage")


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether somebody set a transport."""
    if any(environ.get(name, "").lower() in ("1", "true") for name in OFF):
        return False
    names = [name for name, value in environ.items() if value]
    return any(name in (TRANSPORT, *CLIENTS_OWN) or name.startswith(CLIENTS_PREFIX) for name in names)


@contextlib.contextmanager
def lineage_events(folder: RunFolder, environ: Mapping[str, str]) -> Iterator[None]:
    """Tell that a run begins, and how it ends. What goes wrong with telling is a warning.

    Args:
        folder: A planned run.
        environ: Usually `os.environ`.
    """
    if not is_wanted(environ):
        yield
        return
    from openlineage.client.uuid import generate_new_uuid

    run_id = str(generate_new_uuid())
    with contextlib.ExitStack() as stack:
        client = _client(environ, stack)
        _emit(client, folder, environ, run_id=run_id, state="START")
        try:
            yield
        except BaseException as error:
            state = "FAIL" if isinstance(error, Exception) else "ABORT"
            said = str(error) if isinstance(error, LockstepError) else type(error).__name__
            _emit(client, folder, environ, run_id=run_id, state=state, error=said)
            raise
        _emit(client, folder, environ, run_id=run_id, state="COMPLETE")


def _client(environ: Mapping[str, str], stack: contextlib.ExitStack) -> "OpenLineageClient | None":
    from openlineage.client.client import OpenLineageClient

    try:
        text = environ.get(TRANSPORT)
        client = OpenLineageClient(config={"transport": json.loads(text)}) if text else OpenLineageClient()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the run is not
        log.warning("no lineage: the transport cannot be used: %s: %s", type(error).__name__, error)
        return None
    stack.callback(client.close)
    return client


def _emit(
    client: "OpenLineageClient | None",
    folder: RunFolder,
    environ: Mapping[str, str],
    *,
    run_id: str,
    state: str,
    error: str = "",
) -> None:
    if client is None:
        return
    try:
        client.emit(_event(folder, environ, run_id=run_id, state=state, error=error))
    except Exception as problem:  # noqa: BLE001 - see above
        log.warning("the lineage event %s was not sent: %s: %s", state, type(problem).__name__, problem)


def _event(folder: RunFolder, environ: Mapping[str, str], *, run_id: str, state: str, error: str) -> "RunEvent":
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
    from openlineage.client.facet_v2 import error_message_run, job_type_job

    from lockstep.report.lineage import PRODUCER, inputs_of, outputs_of, run_facets_of

    lineage = lineage_of(folder, "run", environ=environ)
    namespace = next((environ[name] for name in NAMESPACES if environ.get(name)), "default")
    kind = job_type_job.JobTypeJobFacet(
        processingType="BATCH", integration="LOCKSTEP", jobType="RUN", producer=PRODUCER
    )
    facets = dict(run_facets_of(lineage))
    if error:
        told = error_message_run.ErrorMessageRunFacet(error, programmingLanguage="python", producer=PRODUCER)
        facets["errorMessage"] = told
    return RunEvent(
        eventType=RunState[state],
        eventTime=dt.datetime.now(dt.UTC).isoformat(),
        run=Run(runId=run_id, facets=facets),
        job=Job(namespace=namespace, name=f"lockstep_run.{folder.path.parents[1].name}", facets={"jobType": kind}),
        inputs=list(inputs_of(lineage)),
        outputs=list(outputs_of(lineage)),
        producer=PRODUCER,
    )
