import multiprocessing
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.run.incidents import Incident, folder_of_run, forget_task, tell_once, told

INCIDENT = Incident(dag_id="score_m", run_id="manual__2024-03-05T00:00:00+00:00", event="failed", task="gate")


def telling(to: list[str], *, works: bool = True):
    def tell(target: str) -> bool:
        to.append(target)
        return works

    return tell


def test_everybody_is_told_once(tmp_path: Path) -> None:
    heard: list[str] = []
    for _ in range(3):
        tell_once(tmp_path, INCIDENT, ["a", "b"], tell=telling(heard))
    assert heard == ["a", "b"]
    assert told(tmp_path, INCIDENT) == ("a", "b")


def test_who_was_not_reached_is_told_the_next_time(tmp_path: Path) -> None:
    heard: list[str] = []
    assert tell_once(tmp_path, INCIDENT, ["a", "b"], tell=lambda target: target == "a") == ["a"]
    assert tell_once(tmp_path, INCIDENT, ["a", "b"], tell=telling(heard)) == ["b"]
    assert heard == ["b"]


def test_another_task_event_or_run_is_another_incident(tmp_path: Path) -> None:
    heard: list[str] = []
    others = [{"task": "audit"}, {"event": "refused"}, {"run_id": "r"}, {"dag_id": "score_n"}, {"task": ""}]
    for incident in (INCIDENT, *(INCIDENT.model_copy(update=other) for other in others)):
        tell_once(tmp_path, incident, ["a"], tell=telling(heard))
    assert len(heard) == 1 + len(others)


def test_a_task_that_succeeded_may_fail_anew(tmp_path: Path) -> None:
    heard: list[str] = []
    for other in ("gate", "audit"):
        tell_once(tmp_path, INCIDENT.model_copy(update={"task": other}), ["a"], tell=telling([]))
    forget_task(tmp_path, INCIDENT.dag_id, INCIDENT.run_id, task="gate")
    for other in ("gate", "audit"):
        tell_once(tmp_path, INCIDENT.model_copy(update={"task": other}), ["a"], tell=telling(heard))
    assert heard == ["a"]


def test_a_spoilt_record_tells_again(tmp_path: Path) -> None:
    tell_once(tmp_path, INCIDENT, ["a"], tell=lambda _: True)
    INCIDENT.file(tmp_path).write_text("{")
    assert tell_once(tmp_path, INCIDENT, ["a"], tell=lambda _: True) == ["a"]


def test_a_home_that_cannot_be_written_costs_no_alert(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, not a folder")
    assert tell_once(tmp_path / "home", INCIDENT, ["a", "b"], tell=lambda _: True) == ["a", "b"]


def _tell_slowly(home: str, start: "multiprocessing.synchronize.Barrier", heard: "multiprocessing.Queue[int]") -> None:
    def tell(_: str) -> bool:
        heard.put(1)
        start.wait(20)  # nobody is done before everybody has tried
        return True

    start.wait(20)
    if not tell_once(Path(home), INCIDENT, ["a"], tell=tell):
        start.wait(20)


def test_of_many_processes_at_once_one_tells(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("spawn")
    start, heard = fork.Barrier(3), fork.Queue()
    crowd = [fork.Process(target=_tell_slowly, args=(str(tmp_path), start, heard)) for _ in range(3)]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join(60)
    assert [process.exitcode for process in crowd] == [0, 0, 0]
    assert heard.qsize() == 1
    assert told(tmp_path, INCIDENT) == ("a",)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12))
def test_nobody_is_told_twice_and_nobody_reachable_is_forgotten(tmp_path: Path, tries: list[tuple[str, bool]]) -> None:
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    heard: list[str] = []
    for target, works in tries:
        heard += tell_once(folder, INCIDENT, [target], tell=lambda _, works=works: works)
    assert sorted(heard) == sorted({target for target, works in tries if works})


def test_folders_of_runs_are_below_the_home() -> None:
    assert folder_of_run(Path("/h"), "d", "../../x").parent == Path("/h/alerts/d")
