"""The operators with a stand-in for the data plane: exit codes, kills, and what goes into XCom."""

import datetime as dt
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, DownstreamTasksSkipped

from lockstep.airflow.operators import PlanOperator, PublishOperator, ReportOperator
from lockstep.airflow.retries import TryLater, reason_of
from lockstep.airflow.spark import SparkStepOperator, told_by_job
from lockstep.airflow.step import StepOperator
from lockstep.run.folder import RunFolder
from lockstep.run.partition_lock import lease_folder
from tests.dags.tasks import SCHEDULE, DataPlane, Ti, context, pin


def step(*arguments: str) -> StepOperator:
    return StepOperator(task_id="gate", arguments=["step", "gate", *arguments])


def test_result_is_the_last_json_line_and_the_command_is_lockstep(data_plane: DataPlane) -> None:
    data_plane("""echo '{"old": 1}'; echo some text; echo "{\\"args\\": \\"$*\\"}" """)
    assert step("--json").execute(context()) == {"args": "-m lockstep step gate --json"}


@pytest.mark.parametrize("code", [2, 3, 4, 5, 6, 7, 8, 9, 10])
def test_permanent_error_is_not_retried_and_tells_why(data_plane: DataPlane, code: int) -> None:
    data_plane(f"echo 'lockstep: error: origin is null in 3 rows' >&2; exit {code}")
    with pytest.raises(AirflowFailException, match=rf"lockstep step gate failed with exit code {code}\n.*3 rows"):
        step().execute(context())


@pytest.mark.parametrize(
    ("script", "cause"), [("exit 75", "exit code 75"), ("exit 1", "exit code 1"), ("kill -9 $$", "signal 9")]
)
def test_what_may_pass_later_is_retried(data_plane: DataPlane, script: str, cause: str) -> None:
    data_plane(script)
    with pytest.raises(AirflowException, match=cause) as caught:
        step().execute(context())
    assert not isinstance(caught.value, AirflowFailException)
    assert isinstance(caught.value, TryLater) == (script == "exit 75")


def test_the_reason_is_what_the_command_said_not_its_log(data_plane: DataPlane) -> None:
    data_plane("""echo noise >&2; echo '{"error": "CheckFailed", "message": "gate failed: 3 nulls"}'; exit 7""")
    with pytest.raises(AirflowFailException, match="noise") as caught:
        step("--json").execute(context())
    assert reason_of(caught.value) == "gate failed: 3 nulls"


def test_the_reason_begins_with_the_code_that_explains_it(data_plane: DataPlane) -> None:
    data_plane("""echo '{"error": "CheckFailed", "code": "LS7001", "message": "gate failed: 3 nulls"}'; exit 7""")
    with pytest.raises(AirflowFailException) as caught:
        step("--json").execute(context())
    assert reason_of(caught.value) == "[LS7001] gate failed: 3 nulls"
    assert caught.value.told.message == "[LS7001] gate failed: 3 nulls"


@pytest.mark.parametrize("make", [lambda _: step(), lambda root: spark(run_folder(root))])
def test_kill_stops_the_child_and_its_children(
    data_plane: DataPlane, make: Callable[[Path], Any], tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    data_plane(f"sleep 300 & echo $$ $! > {pids}; wait")
    operator, ended = make(tmp_path), threading.Event()

    def kill() -> None:
        while not (pids.is_file() and pids.read_text().strip()):
            time.sleep(0.05)
        operator.on_kill()
        ended.set()

    threading.Thread(target=kill).start()
    with pytest.raises(AirflowException):
        operator.execute(context())
    assert ended.wait(5)
    assert not [pid for pid in pids.read_text().split() if _lives(int(pid))]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_day_of_the_form_is_that_of_a_single_run(data_plane: DataPlane) -> None:
    data_plane("""echo "{\\"args\\": \\"$*\\", \\"already_live\\": false}" """)
    asked = plan().execute(context(run_type="manual", date="2013-05-06"))["args"]
    assert asked.endswith("step plan m --date 2013-05-06")
    for operator in (plan(), pin()):
        with pytest.raises(AirflowFailException, match=r"2013-05-06.* was given to a backfill run"):
            operator.execute(context(date="2013-05-06"))
        with pytest.raises(AirflowFailException, match=r"2099-05-06.* is not over yet"):
            operator.execute(context(run_type="manual", date="2099-05-06"))


def publish() -> PublishOperator:
    table = Asset(name="duckdb/t", uri="lockstep://duckdb/t")
    return PublishOperator(task_id="publish", arguments=["step", "publish"], plan_task="plan", outlets=[table])


def test_whoever_waits_for_the_table_learns_which_day_is_new(data_plane: DataPlane) -> None:
    data_plane("""echo '{"outcome": "published", "rows": 7, "token": 3}'""")
    facts = {"partition": "2013-08-01", "run_key": "k", "model_version": 3}
    where = context(Ti(plan={**facts, "run_folder": "/f", "token": 3}))
    operator = publish()
    assert operator.execute(where)["outcome"] == "published"
    (event,) = where["outlet_events"].values()
    assert event.extra == {**facts, "outcome": "published", "rows": 7}


def test_a_dry_run_publishes_nothing(data_plane: DataPlane) -> None:
    data_plane("exit 1")
    where = context(dry_run=True)
    with pytest.raises(AirflowSkipException, match="nothing is published"):
        publish().execute(where)
    assert not where["outlet_events"]


def plan() -> PlanOperator:
    return PlanOperator(
        task_id="plan", arguments=["step", "plan", "m"], schedule=SCHEDULE, skip_when_live=["gate", "score"]
    )


def test_plan_scores_the_day_of_the_run(data_plane: DataPlane) -> None:
    data_plane("""echo "{\\"args\\": \\"$*\\", \\"already_live\\": false}" """)
    assert plan().execute(context())["args"].endswith("step plan m --date 2013-08-01")


def test_plan_that_is_live_skips_the_middle(data_plane: DataPlane) -> None:
    data_plane("""echo '{"run_key": "k", "run_folder": "f", "already_live": true}'""")
    ti = Ti()
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        plan().execute(context(ti))
    assert skipped.value.tasks == ["gate", "score"]
    assert ti.pushed["return_value"]["run_folder"] == "f"


def test_plan_of_a_day_that_is_not_over_fails_at_once(data_plane: DataPlane) -> None:
    data_plane("exit 0")
    future = context()
    future["dag_run"].logical_date = dt.datetime.now(dt.UTC) + dt.timedelta(days=3)
    with pytest.raises(AirflowFailException, match="is not over yet in UTC"):
        plan().execute(future)


def test_report_is_skipped_without_a_plan(data_plane: DataPlane) -> None:
    data_plane("""echo "{\\"args\\": \\"$*\\"}" """)
    report = ReportOperator(task_id="report", arguments=["step", "report"], plan_task="plan")
    with pytest.raises(AirflowSkipException):
        report.execute(context())
    done = report.execute(context(Ti(plan={"run_folder": "/runs/x"})))
    assert done["args"].endswith("step report --run-folder /runs/x")


def run_folder(root: Path, key: str = "aaaa") -> Path:
    """Where a run of a day lies."""
    return root / "runs" / "m" / "2013-08-01" / key


def spark(folder: Path) -> SparkStepOperator:
    return SparkStepOperator(task_id="score", job="score", run_folder=str(folder))


def test_spark_job_gets_paths_environment_and_connection(data_plane: DataPlane, tmp_path: Path) -> None:
    data_plane(f"echo $* > {tmp_path}/args; echo $PYSPARK_PYTHON > {tmp_path}/python")
    spark(run_folder(tmp_path)).execute(context())
    args = (tmp_path / "args").read_text()
    assert "--master local[2]" in args
    [properties] = (tmp_path / "var" / "spark" / "profiles").iterdir()
    assert f"--properties-file {properties}" in args
    assert "spark.master local[*]" in properties.read_text()
    assert args.rstrip().endswith(f"jobs/score.py --run-folder {run_folder(tmp_path)}")
    assert (tmp_path / "python").read_text().strip() == os.environ["LOCKSTEP_DATA_PYTHON"]
    assert (run_folder(tmp_path) / "timings" / "score.json").is_file()


@pytest.mark.parametrize(
    ("history", "page"),
    [("http://history:18080/", "http://history:18080/history/app-20261122-0001/jobs/"), ("", "")],
)
def test_a_spark_task_leads_to_its_application_where_a_history_server_answers(
    data_plane: DataPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, history: str, page: str
) -> None:
    monkeypatch.setenv("LOCKSTEP_SPARK_HISTORY_URL", history)
    data_plane("echo starting; echo 'LOCKSTEP-SPARK-APPLICATION app-20261122-0001'; echo 'score: 3 rows'")
    task = spark(tmp_path / "run")
    (link,) = task.operator_extra_links
    assert link.get_link(task, ti_key=None) == ""
    task.execute(context())
    assert link.get_link(task, ti_key=None) == page


def test_spark_step_that_is_done_is_not_run_again(data_plane: DataPlane, tmp_path: Path) -> None:
    data_plane("exit 1")
    (tmp_path / "manifest.json").write_text("{}")
    spark(tmp_path).execute(context())


def test_spark_job_that_knows_its_error_fails_at_once(data_plane: DataPlane, tmp_path: Path) -> None:
    data_plane("""echo 'LOCKSTEP-ERROR {"type": "EmptyPartition", "message": "holds 0 rows"}' >&2; exit 6""")
    with pytest.raises(
        AirflowFailException, match="Spark job score failed with exit code 6\nEmptyPartition: holds 0 rows"
    ):
        spark(run_folder(tmp_path)).execute(context())


def test_spark_crash_is_retried(data_plane: DataPlane, tmp_path: Path) -> None:
    data_plane("echo 'java.lang.OutOfMemoryError'; exit 1")
    with pytest.raises(AirflowException, match="OutOfMemoryError") as caught:
        spark(run_folder(tmp_path)).execute(context())
    assert not isinstance(caught.value, AirflowFailException)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[None]:
    """Another process scores the same day, for another run key."""
    script = (
        "import sys, time; from pathlib import Path; from lockstep.run.lease import taken\n"
        "with taken(Path(sys.argv[1]), owner='somebody', purpose='score', wait_s=0): print('held', flush=True), input()"
    )
    lease = str(lease_folder(RunFolder(run_folder(tmp_path))))
    command = [sys.executable, "-c", script, lease]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "held\n"
        yield child.stdin
        child.kill()


def test_a_day_that_another_process_scores_is_left_to_it(
    data_plane: DataPlane, held: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_PARTITION_WAIT_S", "0.2")
    data_plane(f"touch {tmp_path}/submitted")
    with pytest.raises(TryLater, match=r"score of m 2013-08-01 was not begun: somebody \(score, process \d+ on"):
        spark(run_folder(tmp_path, "bbbb")).execute(context())
    assert not (tmp_path / "submitted").exists()


def test_what_the_other_process_finishes_meanwhile_is_used(
    data_plane: DataPlane, held: IO[str], tmp_path: Path
) -> None:
    data_plane(f"touch {tmp_path}/submitted")
    folder = RunFolder(run_folder(tmp_path))

    def finish() -> None:
        folder.write_json("manifest.json", {})
        held.write("\n")
        held.flush()

    timer = threading.Timer(0.5, finish)
    timer.start()
    spark(folder.path).execute(context())
    timer.join()
    assert not (tmp_path / "submitted").exists()


def test_text_without_the_mark_is_kept() -> None:
    assert told_by_job("a\nb") == "a\nb"


def test_a_log_line_is_no_result_and_what_it_says_ends_the_error(data_plane: DataPlane) -> None:
    line = '{"time": "t", "level": "error", "logger": "lockstep", "message": "origin is null"}'
    data_plane(f"echo '{{\"rows\": 7}}'; echo '{line}'; echo '{line}' >&2")
    assert step().execute(context()) == {"rows": 7}
    data_plane(f"echo '{line}' >&2; exit 7")
    with pytest.raises(AirflowFailException, match=r"failed with exit code 7\norigin is null$"):
        step().execute(context())
