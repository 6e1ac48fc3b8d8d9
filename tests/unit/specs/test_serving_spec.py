"""What a serving.yaml may say."""

from pathlib import Path

import pytest

from lockstep.errors import SpecError
from lockstep.specs.serving_spec import load_serving


def written(folder: Path, text: str) -> Path:
    path = folder / "serving.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_short_one_has_safe_defaults(tmp_path: Path) -> None:
    serving = load_serving(written(tmp_path, "models: [{spec: flight_delay}]"))
    assert (serving.host, serving.port, serving.grpc_port, serving.workers) == ("127.0.0.1", 8080, None, 1)
    assert serving.models[0].slo_ms == 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "models: required key is missing"),
        ("models: []", "key models"),
        ("models: [{}]", "give either 'spec' or 'model'"),
        ("models: [{spec: a, model: {name: b}}]", "give either 'spec' or 'model'"),
        ("models: [{spec: a, alias: x, version: 3}]", "exclude each other"),
        ("models: [{spec: a}, {spec: a}]", "names one twice"),
        ("{models: [{spec: a}], workers: 2, grpc_port: 0}", "a port of its own"),
        ("{models: [{spec: a}], prot: 1}", "unknown key"),
        ("models: [{spec: a, slo_ms: 0}]", "slo_ms"),
    ],
)
def test_mistakes_are_named_with_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_serving(written(tmp_path, text))
    assert message in str(caught.value)
    assert "line 1" in str(caught.value)
