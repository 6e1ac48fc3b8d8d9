from pathlib import Path

from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.errors import SpecError
from lockstep.serving.gateway.errors import OutputUnwritable


def test_writes_a_file_and_says_what_would_cost_requests(tmp_path: Path) -> None:
    config, output = tmp_path / "serving.yaml", tmp_path / "gateway"
    for drain, told in ((0, True), (5, False)):
        config.write_text(f"{{models: [{{spec: a}}], limits: {{drain_s: {drain}}}}}", encoding="utf-8")
        for kind in ("nginx", "envoy"):
            arguments = ["gateway", kind, "--config", str(config), "--replica", "a", "--replica", "b"]
            done = CliRunner().invoke(app, [*arguments, "--output", str(output)])
            assert done.exit_code == 0, done.output
            (line,) = done.stdout.splitlines()
            assert "b:8080" in Path(line).read_text() or "address: b" in Path(line).read_text()
            assert ("drain_s" in done.stderr) is told


def test_mistakes_are_one_error(tmp_path: Path) -> None:
    config = tmp_path / "serving.yaml"
    config.write_text("models: [{spec: a}]", encoding="utf-8")
    known = ["gateway", "nginx", "--config", str(config)]
    done = CliRunner().invoke(app, [*known, "--replica", "a:b", "--output", str(tmp_path)])
    assert isinstance(done.exception, SpecError)
    done = CliRunner().invoke(app, [*known, "--replica", "a", "--output", str(config)])
    assert isinstance(done.exception, OutputUnwritable)
