"""The doctor as somebody runs it: on this machine, with its real environments, Java and registry."""

import json

from world import World

from lockstep.doctor.diagnosis import CHECKS
from lockstep.doctor.finding import Diagnosis

# Whether this machine has them all, and enough disk, is its own affair.
SOUND = ("java", "settings", "specs", "mlflow", "warehouse", "memory", "clock", "processes", "locale")


def test_a_sound_world_is_found_sound(world: World) -> None:
    done = world.run("doctor", *SOUND, "--json")
    found = Diagnosis.model_validate_json(done.stdout)
    told = {one.check: one for one in found.findings}
    assert list(told) == [name for name in CHECKS if name in SOUND]
    assert not [one for one in found.findings if one.state == "problem"], done.stdout
    assert (found.healthy, done.returncode, done.stderr) == (True, 0, "")
    assert "churn@champion is version 1" in done.stdout
    assert "Java" in told["java"].found


def test_people_are_told_line_by_line_without_colours_where_there_is_no_terminal(world: World) -> None:
    done = world.run("doctor")
    lines = done.stdout.splitlines()
    assert {line.split()[1] for line in lines} == set(CHECKS)
    assert {line.split()[0] for line in lines} <= {"ok", "warning", "problem"}
    assert all(" -> " in line for line in lines if not line.startswith("ok"))
    assert "\x1b" not in done.stdout
    assert done.returncode == (4 if any(line.startswith("problem") for line in lines) else 0)


def test_a_problem_is_exit_code_4_and_no_secret_is_told(world: World) -> None:
    broken = {"LOCKSTEP_DEVICE": "gpu", "MLFLOW_TRACKING_URI": "http://me:hunter2@127.0.0.1:9"}
    done = world.run("doctor", "settings", "mlflow", "--json", env=broken)
    found = json.loads(done.stdout)
    assert (done.returncode, found["healthy"], done.stderr) == (4, False, "")
    assert {one["check"] for one in found["findings"] if one["state"] == "problem"} == {"settings", "mlflow"}
    assert all(one["advice"] for one in found["findings"] if one["state"] == "problem")
    assert "hunter2" not in done.stdout
    only = world.run("doctor", "settings", "locale", "--problems", env=broken)
    assert (only.returncode, len(only.stdout.splitlines())) == (4, 1)
