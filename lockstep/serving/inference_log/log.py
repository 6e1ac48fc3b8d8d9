"""The inference log of one endpoint process: what listens to its lanes, and what it is told of at its start and end."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from lockstep.run.plan import ModelIdentity
from lockstep.scoring.scorer import Scorer
from lockstep.serving.inference_log.errors import LogUnwritable, PolicyUnused
from lockstep.serving.inference_log.hand_over import HandOver
from lockstep.serving.inference_log.layout import PERSONAL, Layout, logged_columns
from lockstep.serving.inference_log.redaction import read_salt
from lockstep.serving.inference_log.spool import OPEN
from lockstep.serving.inference_log.writer import LogWriter, Rolling
from lockstep.serving.metrics import Metrics
from lockstep.serving.work import Scored
from lockstep.specs.inference_log_spec import InferenceLogging

DROPPED = ("lockstep_log_dropped", "inference")
MIB, GIB = 2**20, 2**30


class InferenceLog:
    """Takes scored micro-batches from the lanes of one event loop, and never keeps them waiting.

    Attributes:
        root: Folder of the log.
    """

    def __init__(self, wanted: InferenceLogging, *, home: Path, metrics: Metrics) -> None:
        """Prepare to log; nothing is written before `run`.

        Args:
            wanted: The configuration.
            home: Folder of a relative path.
            metrics: Counts what is dropped.

        Raises:
            LogUnwritable: The folder cannot be made or written to.
            SaltUnusable: The secret cannot be read.
        """
        self.root = home / wanted.path
        self._wanted = wanted
        self._metrics = metrics
        metrics.add(*DROPPED, value=0)
        self._known: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        salt = read_salt(Path(wanted.salt_file)) if wanted.salt_file is not None else b""
        _make(self.root / OPEN)
        self._hand_over = HandOver(
            most_rows=wanted.waiting_rows,
            most_bytes=wanted.waiting_mib * MIB,
            sample=wanted.sample,
            on_dropped=self._dropped,
        )
        rolling = Rolling(
            flush_s=wanted.flush_s,
            file_bytes=wanted.file_mib * MIB,
            file_s=wanted.file_s,
            keep_days=wanted.keep_days,
            keep_bytes=None if wanted.keep_gib is None else int(wanted.keep_gib * GIB),
        )
        self._writer = LogWriter(self.root, self._hand_over, rolling=rolling, salt=salt, on_lost=self._lost)

    def listen(
        self, identity: ModelIdentity, scorer: Scorer, *, precision: str, sensitive: Iterable[str] = ()
    ) -> Callable[[Scored], None]:
        """Return what a version's lane tells of its micro-batches, in the event loop.

        Args:
            identity: Of the version.
            scorer: That scores.
            precision: In which numbers.
            sensitive: Columns that are logged only where a policy names them.
        """
        wanted, signature = self._wanted, scorer.signature
        inputs, outputs = logged_columns(
            signature.inputs, signature.outputs, wanted.columns, unlisted=wanted.unlisted, sensitive=sensitive
        )
        self._known.update(each.column.name for each in (*inputs, *outputs))
        layout = Layout(
            model_name=identity.name,
            model_version=identity.version,
            model_digest=identity.digest,
            precision=precision,
            device=scorer.device,
            block_rows=scorer.block_rows,
            sample=wanted.sample,
            inputs=inputs,
            outputs=outputs,
            personal={name: wanted.columns[name] for name in PERSONAL if name in wanted.columns},
        )
        return partial(self._hand_over.put, layout)

    def check_policies(self) -> None:
        """Check, once all models are loaded, that every policy has a column.

        Raises:
            PolicyUnused: One has none.
        """
        known = {*self._known, *PERSONAL}
        unused = [name for name in self._wanted.columns if name not in known]
        if unused:
            raise PolicyUnused(unused, known=sorted(known))

    async def run(self) -> None:
        """Write for as long as the server runs; cancelled, what waits is written and all files are finished."""
        self._loop = asyncio.get_running_loop()
        self._writer.start()
        try:
            await self._loop.create_future()
        finally:
            self._writer.close()

    def _dropped(self, rows: int) -> None:
        self._metrics.add(*DROPPED, value=rows)

    def _lost(self, rows: int) -> None:
        """Count, from the writer's thread, in the loop that the metrics belong to."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the metrics
                self._loop.call_soon_threadsafe(self._dropped, rows)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LogUnwritable(str(folder), reason=error.strerror or str(error)) from error
    if not os.access(folder, os.W_OK):
        raise LogUnwritable(str(folder), reason="no permission to write")
