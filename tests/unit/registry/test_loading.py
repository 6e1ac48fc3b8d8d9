"""Any MLflow pyfunc with a signature can be scored; others are refused clearly."""

from pathlib import Path

import pyarrow as pa
import pytest

from lockstep.errors import ArtifactInvalid
from lockstep.registry.artifact import read_artifact
from lockstep.registry.cache import fetch_artifact
from lockstep.registry.loading import baseline, load_scorer
from lockstep.registry.resolve import resolve_model


def test_a_plain_pyfunc_is_scored(registry: str, cache: Path) -> None:
    path = fetch_artifact(resolve_model(registry, "sums", alias="champion"), cache)
    scorer = load_scorer(path)
    batch = pa.RecordBatch.from_pydict({"b": [1.5] * 70, "a": [float(i) for i in range(70)]})
    assert scorer.score(batch).values.tolist() == [i + 1.5 for i in range(70)]
    assert scorer.output == "total"
    assert baseline(path) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("flavors: {}", "no signature with inputs and outputs"),
        ('signature: {inputs: \'[{"type": "tensor"}]\', outputs: \'[{"type": "double"}]\'}', "has type 'tensor'"),
        (
            'signature: {inputs: \'[{"type": "double"}, {"type": "long"}]\', outputs: \'[{"type": "double"}]\'}',
            "input number 0 has no name",
        ),
        ("a: [", "no readable MLmodel file"),
    ],
)
def test_unusable_artifacts(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(ArtifactInvalid, match=told):
        read_artifact(tmp_path, model="m version 1")


def test_an_unknown_backend(tmp_path: Path) -> None:
    column = '[{"type": "double", "name": "a"}]'
    text = f"signature: {{inputs: '{column}', outputs: '{column}'}}\nmetadata: {{lockstep: {{backend: abacus}}}}"
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(ArtifactInvalid, match="backend is 'abacus'; this version knows torch"):
        load_scorer(tmp_path)
