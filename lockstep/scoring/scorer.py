"""The Scorer: the one code path from a record batch to scores, shared by Spark and the endpoint.

Rows run in blocks of fixed shapes, the last padded with copies of its first row, so that the result of a row depends
neither on its neighbours nor on how many there are: kernels choose their summation order by shape
(https://docs.pytorch.org/docs/stable/notes/numerical_accuracy.html). Several block sizes are used, but only such as
were certified to agree in every bit with the artifact's own (see `lockstep.scoring.blocks`).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.errors import MemoryExhausted
from lockstep.scoring.backends import Arrays, Backend, DrawingBackend, Encoded, Floats, Group, ValuesBackend
from lockstep.scoring.blocks import SEARCH_S, BlockSizes, shape_of
from lockstep.scoring.certificate import Certificate
from lockstep.scoring.ladders import block_size
from lockstep.scoring.memory import MemoryWatch, is_out_of_memory
from lockstep.scoring.outputs import OutputArrays
from lockstep.scoring.reasons import MODEL_RAISED, OUT_OF_MEMORY
from lockstep.scoring.rows import fitting_rows
from lockstep.scoring.signature import Signature, select
from lockstep.scoring.trials import same_bits

log = logging.getLogger(__name__)

# Above it Arrow is faster than values one by one.
FEW_ROWS = 256


@dataclass(frozen=True)
class ScoredBatch:
    """Scores of one batch.

    Attributes:
        outputs: One `(rows, ...)` array per output of the signature, of its dtype; meaningless in the rows of `reasons`
            (NaN where the dtype has it).
        reasons: Row index to why it has no score, in row order.
        bare_s: Seconds that the model alone takes for these rows at its best measured speed; none when not measured.
    """

    outputs: Arrays
    reasons: dict[int, str] = field(default_factory=dict)
    bare_s: float | None = None

    @property
    def values(self) -> Floats:
        """The first output; for a model of one number, its `(rows,)` scores."""
        return self.outputs[0]

    @classmethod
    def join(cls, parts: "Sequence[ScoredBatch]") -> "ScoredBatch":
        """Put the scores of consecutive slices of a batch together."""
        if len(parts) == 1:
            return parts[0]
        reasons: dict[int, str] = {}
        start = 0
        for part in parts:
            reasons.update({start + row: reason for row, reason in part.reasons.items()})
            start += len(part.values)
        columns = zip(*(part.outputs for part in parts), strict=True)
        return cls(tuple(np.concatenate(arrays) for arrays in columns), reasons)


class Scorer:
    """A loaded model plus encode and decode."""

    def __init__(
        self,
        backend: Backend,
        signature: Signature,
        *,
        block_rows: int,
        blocks: BlockSizes | None = None,
        backend_name: str = "",
    ) -> None:
        self._backend = backend
        self._backend_name = backend_name
        self.signature = signature
        self.block_rows = block_rows
        self.blocks = blocks or BlockSizes(block_rows)
        self.parallel = bool(getattr(backend, "parallel", False))  # see `Backend`
        self._memory = MemoryWatch()
        self._values: ValuesBackend | None = None
        if signature.takes_values and hasattr(backend, "encode_values"):
            self._values = cast("ValuesBackend", backend)

    @property
    def output(self) -> str:
        """Name of the first output column."""
        return self.signature.outputs[0].name

    @property
    def device(self) -> str:
        """Where the model runs: `cpu`, `cuda:0`."""
        return self._backend.device

    @property
    def certificate(self) -> Certificate:
        """By what and in blocks of which sizes rows are scored, as known by now."""
        sizes = {shape: tuple(sorted(self.blocks.in_use(shape))) for shape in self.blocks.ladders}
        return Certificate(self._backend_name, self.device, self.block_rows, sizes, self.blocks.holds_for)

    def draw(self, rows: int) -> pa.RecordBatch | None:
        """Return rows of every shape that inputs are brought to; none when the backend cannot say."""
        return cast("DrawingBackend", self._backend).draw(rows) if hasattr(self._backend, "draw") else None

    def certify(self, sample: pa.RecordBatch, *, seconds: float) -> bool:
        """Look for block sizes, and check those that another process certified; see `BlockSizes`.

        Args:
            sample: Rows of the signature's schema that the model can score.
            seconds: That a search may take, beyond what it may take anyway, if the sample has a shape that was never
                searched.

        Returns:
            Whether none that was certified differs from the artifact's own. One that does is not used.
        """
        groups, run = self._backend.encode(sample).groups, self._backend.run
        known = all(shape_of(group.arrays) in self.blocks.ladders for group in groups)
        self.blocks.grant(0.0 if known else seconds)  # what an earlier search left open need not keep anybody waiting
        for group in groups:
            self.blocks.usable(run, group.arrays)
        each_s = SEARCH_S / max(len(groups), 1)
        held = [self.blocks.verify(run, group.arrays, seconds=each_s) for group in groups]
        if not all(held):
            log.warning("a stored certificate of block sizes does not hold; rows run in blocks of %d", self.block_rows)
        return all(held)

    def score(self, batch: pa.RecordBatch, *, where: str = "the input") -> ScoredBatch:
        """Score every row of a batch; a bad row gets a reason instead of failing the others.

        Args:
            batch: Rows with at least the signature's columns, any number of them.
            where: What to call the batch in an error.

        Raises:
            ColumnMissing: A required column is not there.
            ColumnTypeMismatch: A column has a type that does not fit.
            MemoryExhausted: Not even one block of rows fits into memory.
        """
        chosen = select(batch, self.signature, where=where)
        outputs = OutputArrays(self.signature.outputs, rows=batch.num_rows)
        fitting = fitting_rows(chosen, self.signature)
        outputs.reasons.update(fitting.reasons)
        if fitting.batch.num_rows:
            self._score_rows(fitting.batch, outputs, places=fitting.places)
        outputs.refuse_not_finite()
        return ScoredBatch(outputs.finished(), dict(sorted(outputs.reasons.items())), outputs.bare_s)

    def score_values(self, columns: Sequence[Any], rows: int) -> ScoredBatch | None:
        """Score a few rows given as plain values, without building a batch.

        Args:
            columns: Of each input, in the signature's order, its values: floats or text, None and NaN for missing.
            rows: How many.

        Returns:
            The same bits as `score` gives for the batch of these values; none when it has to be asked.
        """
        if self._values is None or not 0 < rows <= FEW_ROWS:
            return None
        outputs = OutputArrays(self.signature.outputs, rows=rows)
        for group in self._values.encode_values(dict(zip(self.signature.names, columns, strict=True))).groups:
            self._score_group(group, outputs)
        outputs.refuse_not_finite()
        return ScoredBatch(outputs.finished(), dict(sorted(outputs.reasons.items())), outputs.bare_s)

    def _score_rows(self, batch: pa.RecordBatch, outputs: OutputArrays, *, places: "Places") -> None:
        """Encode and score rows whose places in the outputs are given; bisect a batch that cannot be encoded."""
        try:
            encoded = self._backend.encode(batch)
        except Exception as error:  # noqa: BLE001 - a model's own code may raise anything
            rows = batch.num_rows
            if rows == 1:
                outputs.reasons[_place(places, 0)] = _reason(error)
                return
            half, known = rows // 2, np.arange(rows) if places is None else places
            self._score_rows(batch.slice(0, half), outputs, places=known[:half])
            self._score_rows(batch.slice(half), outputs, places=known[half:])
            return
        for row, reason in encoded.reasons.items():
            outputs.reasons[_place(places, row)] = reason
        for group in _placed(encoded, places):
            self._score_group(group, outputs)

    def _score_group(self, group: Group, outputs: OutputArrays) -> None:
        arrays, rows = group.arrays, len(group.arrays[0])
        sizes = self._sizes(arrays)
        start, asked = 0, False
        while start < rows:
            size = block_size(sizes, rows=rows - start, base=self.block_rows)
            block = tuple(array[start : start + size] for array in arrays)
            stop = start + len(block[0])
            places = slice(start, stop) if group.rows is None else group.rows[start:stop]
            try:
                result = self._run_padded(block, size)
            except Exception as error:  # noqa: BLE001 - a model may raise anything; the row is kept with the reason
                if is_out_of_memory(error) and self.blocks.shrink(arrays):
                    sizes = self._sizes(arrays)
                    continue  # the same rows again, in smaller blocks
                index = np.arange(start, stop) if group.rows is None else group.rows[start:stop]
                self._bisect(block, index, outputs)
            else:
                if size != self.block_rows and not asked:
                    asked = True
                    if self.blocks.wants_check(arrays) and not self._agrees_with_base(block, result):
                        sizes, start = self._sizes(arrays), 0  # all rows again, in blocks of the base size
                        continue
                outputs.put(places, result)
            start = stop
        outputs.bare_s = _sum(outputs.bare_s, self.blocks.bare_seconds(arrays))

    def _sizes(self, arrays: Arrays) -> list[int]:
        if self._memory.is_low():
            self.blocks.shrink(arrays)
        return self.blocks.usable(self._backend.run, arrays)

    def _agrees_with_base(self, block: Arrays, result: Arrays) -> bool:
        """Spot check of a certificate: the first rows of another block, scored in a block of the base size."""
        rows = min(self.block_rows, len(block[0]))
        base = self._run_padded(tuple(array[:rows] for array in block), self.block_rows)
        agrees = same_bits(base, tuple(array[:rows] for array in result))
        if not agrees:
            log.warning("blocks of %d rows no longer give the bits of %d; going back to these", len(block[0]), rows)
            self.blocks.revoke(block)
        return agrees

    def _bisect(self, block: Arrays, index: "Index", outputs: OutputArrays) -> None:
        """Score the rows of a failing block in halves, down to the rows that fail."""
        failed: dict[int, Exception] = {}
        self._halve(block, index, outputs, failed=failed)
        if len(failed) == len(index) > 1 and all(is_out_of_memory(error) for error in failed.values()):
            raise MemoryExhausted(self.device, rows=self.block_rows)
        outputs.reasons.update({row: _reason(error) for row, error in failed.items()})

    def _halve(self, block: Arrays, index: "Index", outputs: OutputArrays, *, failed: dict[int, Exception]) -> None:
        rows, base = len(index), self.block_rows
        half = max(rows // 2, 1) if rows <= base else base * max(rows // base // 2, 1)
        for part in (slice(0, half), slice(half, rows)):
            arrays, places = tuple(array[part] for array in block), index[part]
            if len(places) > base:
                self._halve(arrays, places, outputs, failed=failed)
            elif len(places):
                self._try(arrays, places, outputs, failed=failed)

    def _try(self, block: Arrays, index: "Index", outputs: OutputArrays, *, failed: dict[int, Exception]) -> None:
        """Score at most one base block; go on halving if it fails."""
        try:
            result = self._run_padded(block, self.block_rows)
        except Exception as error:  # noqa: BLE001 - as above
            if len(index) == 1:
                failed[int(index[0])] = error
            else:
                self._halve(block, index, outputs, failed=failed)
        else:
            outputs.put(index, result)

    def _run_padded(self, block: Arrays, size: int) -> Arrays:
        rows = len(block[0])
        missing = size - rows
        padded = block
        if missing:
            padded = tuple(np.concatenate([a, np.repeat(a[:1], missing, axis=0)]) for a in block)
        result = self._backend.run(padded)
        wrong = [len(array) for array in result if len(array) != size]
        if wrong:
            raise ValueError(f"the model returned {wrong[0]} results for {size} rows")
        return tuple(array[:rows] for array in result) if missing else result


Index = npt.NDArray[np.intp]
Places = Index | None


def _place(places: Places, row: int) -> int:
    return row if places is None else int(places[row])


def _placed(encoded: Encoded, places: Places) -> Sequence[Group]:
    """Return the groups with their rows as places in the outputs."""
    if places is None:
        return encoded.groups
    return [Group(g.arrays, places if g.rows is None else places[g.rows]) for g in encoded.groups]


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _reason(error: Exception) -> str:
    return OUT_OF_MEMORY if is_out_of_memory(error) else MODEL_RAISED.format(error=type(error).__name__)
