"""The Scorer: the one code path from a record batch to scores, shared by Spark and the endpoint.

Rows run in blocks of one fixed shape, the last padded with copies of its first row, so that the result of a row
depends neither on its neighbours nor on how many there are: kernels choose their summation order by shape
(https://docs.pytorch.org/docs/stable/notes/numerical_accuracy.html), and here the shape never changes.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.scoring.backends import Backend, Floats
from lockstep.scoring.signature import Signature, conform

NOT_FINITE = "the model returned a value that is not finite"
Arrays = tuple[npt.NDArray[np.generic], ...]


@dataclass(frozen=True)
class ScoredBatch:
    """Scores of one batch.

    Attributes:
        values: `(rows,) float64`; NaN where the row is in `reasons`.
        reasons: Row index to why it has no score.
    """

    values: Floats
    reasons: dict[int, str] = field(default_factory=dict)


class Scorer:
    """A loaded model plus encode and decode."""

    def __init__(self, backend: Backend, signature: Signature, *, block_rows: int) -> None:
        self._backend = backend
        self.signature = signature
        self.block_rows = block_rows

    @property
    def output(self) -> str:
        """Name of the output column."""
        return self.signature.outputs[0].name

    def score(self, batch: pa.RecordBatch, *, where: str = "the input") -> ScoredBatch:
        """Score every row of a batch; a bad row gets a reason instead of failing the others.

        Args:
            batch: Rows with at least the signature's columns, any number of them.
            where: What to call the batch in an error.

        Raises:
            ColumnMissing: A required column is not there.
            ColumnTypeMismatch: A column has a type that does not fit.
        """
        if batch.num_rows == 0:
            conform(batch, self.signature, where=where)
            return ScoredBatch(np.empty(0))
        arrays = self._backend.encode(conform(batch, self.signature, where=where))
        values = np.empty(batch.num_rows)
        reasons: dict[int, str] = {}
        for start in range(0, batch.num_rows, self.block_rows):
            block = tuple(array[start : start + self.block_rows] for array in arrays)
            self._score_block(block, values[start : start + self.block_rows], reasons, start=start)
        for row in np.flatnonzero(~np.isfinite(values)):
            reasons.setdefault(int(row), NOT_FINITE)
        values[list(reasons)] = np.nan
        return ScoredBatch(values, dict(sorted(reasons.items())))

    def _score_block(self, block: Arrays, out: Floats, reasons: dict[int, str], *, start: int) -> None:
        """Score up to one block into `out`; a block that fails is bisected down to the rows that fail."""
        try:
            out[:] = self._run_padded(block)
        except Exception as error:  # noqa: BLE001 - a model may raise anything; the row is kept with the reason
            rows = len(out)
            if rows == 1:
                out[:] = np.nan
                reasons[start] = f"the model raised {type(error).__name__}"
                return
            half = rows // 2
            self._score_block(tuple(a[:half] for a in block), out[:half], reasons, start=start)
            self._score_block(tuple(a[half:] for a in block), out[half:], reasons, start=start + half)

    def _run_padded(self, block: Arrays) -> Floats:
        rows = len(block[0])
        missing = self.block_rows - rows
        padded = block
        if missing:
            padded = tuple(np.concatenate([a, np.repeat(a[:1], missing, axis=0)]) for a in block)
        result = self._backend.run(padded)
        if len(result) != self.block_rows:
            raise ValueError(f"the model returned {len(result)} results for {self.block_rows} rows")
        return result[:rows]
