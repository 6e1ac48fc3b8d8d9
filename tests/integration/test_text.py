"""A text model with a vector for each row, from Parquet to the warehouse and the endpoint."""

import importlib.util
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from endpoints import Endpoint, serving
from world import ROOT, World

pytestmark = pytest.mark.slow

DAY, WIDTH, ROWS = "2024-01-02", 8, 30
WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "return", "the", "number", "of", "rows", "in", "a", "table"]
SPEC = """\
name: notes
model: {name: notes, alias: champion}
schedule: {cron: "0 6 * * *", start: 2024-01-01}
input:
  query: features.sql
  sources:
    notes: {path: notes, partition: day, days: [0, 0], columns: {id: long, text: string}}
partition: {column: day}
key: [day, id]
passthrough: [text]
output: {column: embedding}
publish: {table: note_embeddings}
reporting: {lengths: reporting/lengths.sql}
limits: {max_quarantined_fraction: 0.1, timeout_s: 300}
"""
GATE = """\
expectations:
  - {expectation: expect_column_values_to_not_be_null, column: text, kwargs: {mostly: 0.9}, why: texts are there}
"""
AUDIT = """\
expectations:
  - expectation: expect_column_values_to_be_between
    column: embedding.norm
    kwargs: {min_value: 0.9999, max_value: 1.0001}
    why: vectors have length one
  - {expectation: expect_column_stdev_to_be_between, column: embedding.max, kwargs: {min_value: 0.001}, why: varied}
"""
REPORTING = "SELECT day, id, array_inner_product(embedding, embedding) AS length FROM scores"


def texts() -> list[str | None]:
    """One null, one empty, others of 1 to 84 words."""
    made: list[str | None] = [" ".join(WORDS[4 + (i * j) % 8] for j in range(1, 3 * i)) for i in range(1, ROWS - 1)]
    return [None, "", *made]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Notes of one day, their spec, and a registry with a tiny encoder of random weights."""
    world = World(tmp_path_factory.mktemp("notes"))
    folder = world.home / "models" / "notes"
    files = {"scoring.yaml": SPEC, "features.sql": "SELECT day, id, text FROM notes", "checks/gate.yaml": GATE}
    for name, text in {**files, "checks/audit.yaml": AUDIT, "reporting/lengths.sql": REPORTING}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    source = world.home / "data" / "notes" / f"day={DAY}" / "part-0.parquet"
    source.parent.mkdir(parents=True)
    pq.write_table(pa.table({"id": list(range(ROWS)), "text": texts()}), source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        register(world.home)
    return world


def register(home: Path) -> None:
    """Register a BERT of two layers."""
    import pandas as pd
    import torch

    from lockstep.registry.packaging import TextColumn, TrainedModel, connect, log_and_register

    encoder = load_encoder()
    torch.manual_seed(7)
    shape = encoder.Shape(len(WORDS), 64, WIDTH, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    scratch = home / "scratch"
    scratch.mkdir()
    encoder.export(encoder.TextEncoder(shape).eval(), scratch / "network.pt2", longest=64)
    save_tokenizer(scratch / "tokenizer.json")
    model = TrainedModel(
        code=ROOT / "models" / "text_embedding" / "pyfunc_model.py",
        network=scratch / "network.pt2",
        columns=TextColumn("text", "embedding", width=WIDTH, lengths=(8, 16, 64), pad_id=0),
        baseline=None,
        example=pd.DataFrame({"text": ["return the rows", "a table"]}),
        requirements=["torch"],
        params={},
        metrics={},
        backend="text",
        block_rows=4,
        files={"tokenizer": scratch / "tokenizer.json"},
    )
    client = connect(f"sqlite:///{home}/mlflow/mlflow.db", "notes")
    log_and_register(client, model, name="notes", alias="champion", key="1", scratch=scratch)


def load_encoder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("encoder", ROOT / "models" / "text_embedding" / "encoder.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["encoder"] = module
    spec.loader.exec_module(module)
    return module


def save_tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()  # type: ignore[assignment]
    ends = [("[CLS]", 1), ("[SEP]", 2)]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)  # type: ignore[assignment]
    tokenizer.save(str(path))


def score(world: World) -> dict[str, Any]:
    done = world.run("run", "notes", "--date", DAY, "--json")
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


@pytest.fixture(scope="module")
def first(world: World) -> dict[str, Any]:
    """The facts of the first run."""
    return score(world)


@pytest.fixture(scope="module")
def endpoint(world: World, first: dict[str, Any]) -> Iterator[Endpoint]:
    """An endpoint of the model."""
    with serving(world, spec="notes") as endpoint:
        yield endpoint


def test_vectors_are_published_once(world: World, first: dict[str, Any]) -> None:
    rows = world.query("SELECT id, text, embedding FROM note_embeddings ORDER BY id")
    assert [row[0] for row in rows] == list(range(1, ROWS)), "the null text is in quarantine"
    assert [row[1] for row in rows] == texts()[1:]
    again = score(world)
    assert again["run_folder"] == first["run_folder"]
    assert world.query("SELECT id, text, embedding FROM note_embeddings ORDER BY id") == rows
    kinds = "SELECT data_type FROM duckdb_columns() WHERE table_name = 'note_embeddings' AND column_name = 'embedding'"
    assert world.query(kinds) == [(f"FLOAT[{WIDTH}]",)]
    outcomes = world.query("SELECT outcome, rows FROM lockstep_ledger ORDER BY entry")
    assert outcomes == [("published", ROWS - 1), ("noop", ROWS - 1)]
    assert world.query("SELECT count(*), round(min(length), 5) FROM lengths") == [(ROWS - 1, 1.0)]


def test_the_page_says_what_it_leaves_out(first: dict[str, Any]) -> None:
    page = (Path(str(first["run_folder"])) / "report.html").read_text()
    assert f"is a float tensor of shape ({WIDTH},), not one number for each row" in page
    assert "the model carries no baseline profile" in page
    manifest = json.loads((Path(str(first["run_folder"])) / "manifest.json").read_text())
    assert [reason.partition(":")[0] for unit in manifest["units"] for reason in unit["reasons"]] == ["null_refused"]


def test_vectors_equal_plain_mlflow(world: World, first: dict[str, Any]) -> None:
    import mlflow.pyfunc
    import pandas as pd

    mlflow.set_tracking_uri(f"sqlite:///{world.home}/mlflow/mlflow.db")
    expected = mlflow.pyfunc.load_model("models:/notes@champion").predict(pd.DataFrame({"text": texts()[1:]}))
    published = [row[0] for row in world.query("SELECT embedding FROM note_embeddings ORDER BY id")]
    np.testing.assert_allclose(np.array(published), expected, rtol=0, atol=1e-6)


def test_the_endpoint_gives_the_same_bits(world: World, endpoint: Endpoint) -> None:
    rows = world.query("SELECT text, embedding FROM note_embeddings ORDER BY id")
    expected = np.array([row[1] for row in rows], dtype=np.float32)
    for size in (1, 7, ROWS):
        for start in range(0, len(rows), size):
            asked = [row[0] for row in rows[start : start + size]]
            tensor = {"name": "text", "shape": [len(asked)], "datatype": "BYTES", "data": asked}
            _, _, body = endpoint.ask("/v2/models/notes/infer", {"inputs": [tensor]})
            answer = body["outputs"][0]
            assert (answer["shape"], answer["datatype"]) == ([len(asked), WIDTH], "FP32")
            found = np.array(answer["data"], dtype=np.float32).reshape(answer["shape"])
            assert found.tobytes() == expected[start : start + size].tobytes()
    _, _, body = endpoint.ask("/invocations", {"dataframe_records": [{"text": rows[3][0]}]})
    assert np.array(body["predictions"][0]["embedding"], dtype=np.float32).tobytes() == expected[3].tobytes()


def test_parity_of_vectors_is_refused_before_anything_is_scored(world: World) -> None:
    done = world.run("parity", "notes", "--date", DAY)
    assert done.returncode == 6
    assert "output 'embedding' of model notes version 1 is a float tensor" in done.stderr
