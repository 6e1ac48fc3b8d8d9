"""What a run is compared with: the training baseline, the previous publication, and the keys of its own input."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import RunFolderUnusable
from lockstep.quality.asks import ROWS, Ask, HashSum, Question, Repeats, Uncomputable
from lockstep.quality.columns import Column
from lockstep.quality.distances import NAMES, distance, null_percent
from lockstep.quality.measurement import Measuring
from lockstep.quality.rows import Rows, staged_rows
from lockstep.run.canary import published_manifest
from lockstep.run.folder import MANIFEST, RunFolder
from lockstep.run.manifest import Manifest

PREFIX = "lockstep."
NOTHING_BEFORE = "nothing published before"
NO_BASELINE = "the model carries no baseline profile"
SCORES = "scores"
KEY_SALT = 8191
# What a profile says of the values of a numeric column; equal for equal values.
MOMENTS = ("count", "nulls", "sum", "sum_sq", "min", "max")


@dataclass(frozen=True)
class Finding:
    """What a reference expectation decides on.

    Attributes:
        value: The figure; none when there is nothing to compare with, which passes.
        text: The same for a person.
    """

    value: float | None
    text: str


@dataclass(frozen=True)
class Previous:
    """The latest earlier live partition of the published table."""

    folder: RunFolder
    manifest: Manifest
    partition: str

    @property
    def files(self) -> list[Path] | None:
        """Its staged files, or none if they are no longer there."""
        try:
            paths = [self.folder.local(unit.staged) for unit in self.manifest.units]
        except RunFolderUnusable:
            return None
        return paths if paths and all(path.is_file() for path in paths) else None


def previous_of(folder: RunFolder | None) -> Previous | None:
    """Read what is needed of an earlier run, or nothing if its folder is gone."""
    if folder is None or not folder.has(MANIFEST):
        return None
    manifest = published_manifest(folder, step="audit")
    return Previous(folder, manifest, folder.plan(step="audit").partition.isoformat())


@dataclass(frozen=True)
class Reference:
    """A run beside what it is compared with.

    Attributes:
        manifest: Of the run.
        key, output: Of the spec: the key columns and the score.
        training: Profile of the training data, in JSON form.
        read_input: Opens the run's input, with the key columns.
        quarantined: Files of rows that have no score and were not staged.
        measuring: Opens the measurement of rows that are not this run's staged ones.
    """

    manifest: Manifest
    key: tuple[str, ...]
    output: str
    training: Mapping[str, Any] | None
    previous: Previous | None
    read_input: Callable[[], Rows]
    quarantined: Sequence[Path]
    measuring: Measuring

    def question(self, name: str, kwargs: Mapping[str, Any], *, columns: Mapping[str, Column]) -> Question:
        """Return the question behind a reference expectation; its value is a `Finding`.

        Args:
            name: Of the expectation.
            kwargs: Its keywords.
            columns: Of the staged rows; at least the key.
        """
        return _QUESTIONS[name](self, kwargs, columns)

    def _facts(self, kwargs: Mapping[str, Any], *, before: Mapping[str, Any]) -> tuple[Any, Any]:
        found = [profile.get("columns", {}).get(kwargs["column"]) for profile in (self.manifest.profile, before)]
        if found[0] is None or found[1] is None:
            raise Uncomputable
        return found[0], found[1]


def _row_change(reference: Reference, *_: Mapping[str, Any]) -> Question:
    yield from ()
    if reference.previous is None:
        return Finding(None, NOTHING_BEFORE)
    now, before = reference.manifest.rows_staged, reference.previous.manifest.rows_staged
    change = 100 * abs(now - before) / before if before else (100.0 if now else 0.0)
    return Finding(change, f"{now:,} rows, {change:.3g} % from the {before:,} of {reference.previous.partition}")


def _distribution(against: str) -> Callable[..., Question]:
    def question(reference: Reference, kwargs: Mapping[str, Any], _: Mapping[str, Column]) -> Question:
        yield from ()
        before, where = _profile(reference, against)
        if before is None:
            return Finding(None, where)
        kind = kwargs.get("distance") or "psi"
        value = distance(kind, *reference._facts(kwargs, before=before))  # noqa: SLF001 - of this module
        return Finding(value, f"{NAMES[kind]} {value:.4g} from {where}")

    return question


def _nulls(against: str) -> Callable[..., Question]:
    def question(reference: Reference, kwargs: Mapping[str, Any], _: Mapping[str, Column]) -> Question:
        yield from ()
        profile, where = _profile(reference, against)
        if profile is None:
            return Finding(None, where)
        now, before = (null_percent(facts) for facts in reference._facts(kwargs, before=profile))  # noqa: SLF001
        return Finding(abs(now - before), f"{now:.3g} % nulls, {before:.3g} % in {where}")

    return question


def _profile(reference: Reference, against: str) -> tuple[Mapping[str, Any] | None, str]:
    """Return the profile to compare with, and what it is, or why there is none."""
    if against == "training":
        return (reference.training, "training") if reference.training else (None, NO_BASELINE)
    previous = reference.previous
    return (previous.manifest.profile, previous.partition) if previous else (None, NOTHING_BEFORE)


def _stale(reference: Reference, _: Mapping[str, Any], columns: Mapping[str, Column]) -> Question:
    previous = reference.previous
    if previous is None:
        return Finding(None, NOTHING_BEFORE)
    rows, before = reference.manifest.rows_staged, previous.manifest.rows_staged
    if rows != before or not rows or _moments(reference, reference.manifest) != _moments(reference, previous.manifest):
        return Finding(0.0, f"other scores than {previous.partition}")
    files = previous.files
    if files is None:
        known = _moments(reference, previous.manifest) is not None
        same = "count, sum, squares and range of the scores equal those of"
        return Finding(1.0 if known else 0.0, f"{same} {previous.partition}" if known else "its files are gone")
    (ours,) = yield (HashSum((columns[reference.output],)),)
    where = f"the rows of partition {previous.partition}"
    with reference.measuring(staged_rows(files, where=where), names=[reference.output]) as measured:
        theirs = measured.answer({SCORES: _all((HashSum((measured.columns[reference.output],)),))})[SCORES]
    same_scores = (ours,) == theirs
    return Finding(float(same_scores), f"{'the very' if same_scores else 'other'} scores of {previous.partition}")


def _moments(reference: Reference, manifest: Manifest) -> tuple[Any, ...] | None:
    column = manifest.profile.get("columns", {}).get(reference.output)
    return tuple(column.get(name) for name in MOMENTS) if column and column["kind"] == "numeric" else None


def _unique(reference: Reference, _: Mapping[str, Any], columns: Mapping[str, Column]) -> Question:
    (found,) = yield (Repeats(tuple(columns[name] for name in reference.key)),)
    return Finding(float(found.keys), f"{found.keys:,} repeated keys")


def _equal_keys(reference: Reference, _: Mapping[str, Any], columns: Mapping[str, Column]) -> Question:
    ours = yield _key_sums([columns[name] for name in reference.key])
    wanted = _sums(reference, reference.read_input())
    if reference.quarantined:
        set_aside = _sums(reference, staged_rows(reference.quarantined, where="the quarantined rows"))
        wanted = tuple(a - b for a, b in zip(wanted, set_aside, strict=True))
    found = tuple(value or 0 for value in ours)
    text = (
        f"{found[0]:,} keys, " + ("the same" if found == wanted else "not the same") + f" as the {wanted[0]:,} to score"
    )
    return Finding(float(found != wanted), text)


def _sums(reference: Reference, rows: Rows) -> tuple[int, ...]:
    with reference.measuring(rows, names=reference.key) as measured:
        asked = _all(_key_sums([measured.columns[name] for name in reference.key]))
        found = measured.answer({SCORES: asked})[SCORES]
    return tuple(int(value or 0) for value in found)


def _key_sums(key: Sequence[Column]) -> tuple[Ask, ...]:
    """Ask for the rows and two sums of 64-bit hashes of their keys: equal sets of keys have equal sums in any order.

    Keys that differ have other sums but for a chance of about 2**-128 for texts and less for numbers: the second hash
    takes the columns in another order and texts with a prefix, so that what collides in the first does not in it.
    """
    return (ROWS, HashSum(tuple(key)), HashSum(tuple(key), salt=KEY_SALT))


def _all(asks: tuple[Ask, ...]) -> Question:
    return (yield asks)


_QUESTIONS: dict[str, Callable[[Reference, Mapping[str, Any], Mapping[str, Column]], Question]] = {
    "expect_keys_to_be_unique": _unique,
    "expect_keys_to_equal_input": _equal_keys,
    "expect_row_count_to_be_near_previous": _row_change,
    "expect_scores_to_differ_from_previous": _stale,
    "expect_column_distribution_to_be_near_previous": _distribution("previous"),
    "expect_column_distribution_to_be_near_training": _distribution("training"),
    "expect_column_nulls_to_be_near_previous": _nulls("previous"),
    "expect_column_nulls_to_be_near_training": _nulls("training"),
}
