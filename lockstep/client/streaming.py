"""Predictions for more rows than fit into memory: batch by batch, by one version where that can be asked for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from lockstep.client.answers import Prediction
from lockstep.client.client import Client
from lockstep.client.errors import Refusal, RowsUnfit, Unanswered
from lockstep.client.sources import Batch


def rows_of(batch: Batch) -> int:
    """Return how many rows a batch has."""
    return len(next(iter(batch.values()), ())) if isinstance(batch, Mapping) else int(batch.num_rows)


def first_rows(batches: Iterable[Batch], rows: int) -> Iterator[Batch]:
    """Yield batches of so many rows together."""
    left = rows
    for batch in batches:
        rows = rows_of(batch)
        yield batch if rows <= left else _beginning(batch, left)
        left -= rows
        if left <= 0:
            return


def _beginning(batch: Batch, rows: int) -> Batch:
    if isinstance(batch, Mapping):
        return {name: values[:rows] for name, values in batch.items()}
    return batch.slice(0, rows)


def predicted(
    client: Client, batches: Iterable[Batch], *, model: str | None, version: str | None
) -> Iterator[tuple[Batch, Prediction]]:
    """Yield each batch with its prediction; rows in answers and errors count from the first batch.

    The version that answers the first batch is asked for the others too, except in MLflow's protocol and for a model on
    trial.

    Raises:
        LockstepError: What `Client.predict` raises.
    """
    first = 0
    for batch in batches:
        rows = rows_of(batch)
        try:
            found = client.predict(batch, model=model, version=version)
        except RowsUnfit as error:
            raise RowsUnfit(f"rows {first} to {first + rows - 1} of the input: {error}") if first else error from error
        except (Refusal, Unanswered) as error:
            if error.rows is None:
                raise
            raise error.about(first + error.rows[0], error.rows[1] - error.rows[0]) from error
        answers = tuple(replace(answer, first_row=answer.first_row + first) for answer in found.answers)
        yield batch, Prediction(found.outputs, answers)
        if version is None and client.names_versions and not answers[-1].arm:
            version = answers[-1].version or None
        first += rows
