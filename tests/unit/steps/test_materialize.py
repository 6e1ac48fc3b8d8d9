"""The score step of a run whose manifest is there already."""

from pathlib import Path

from lockstep.steps.materialize import score
from tests.unit.steps.runs import make_run, make_settings


def test_a_scored_run_is_reused_and_tidied_up(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    manifest = folder.manifest(step="test")
    dead = folder.file(manifest.units[0].staged).with_name("dead.parquet")
    dead.write_bytes(b"PAR1")
    facts = score(folder, make_settings(tmp_path))
    assert facts["reused"]
    assert not dead.exists()
    assert all(folder.file(unit.staged).is_file() for unit in manifest.units)
