"""SparkSubmitOperator for the jobs of this repository."""

import functools
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from lockstep.airflow.imports import openlineage_if_on
from lockstep.airflow.lineage import LineageMixin
from lockstep.airflow.links import SPARK, SparkLink, page_of_application
from lockstep.airflow.retries import airflow_error
from lockstep.airflow.step import close_pipes, failure, json_object, stop_group, task_settings
from lockstep.errors import LockstepError, ProfileInvalid
from lockstep.run.folder import INPUT, RunFolder
from lockstep.run.java import find_java_home, site_packages
from lockstep.run.partition_lock import Alone, alone
from lockstep.run.processes import die_with_parent
from lockstep.run.profiles import MASTER
from lockstep.run.submit import check_data_python, data_python, spark_submit
from lockstep.run.trials import scored
from lockstep.specs.settings import Settings

with openlineage_if_on():
    from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

# Whether a Spark step is done.
DONE: dict[str, Callable[[RunFolder], bool]] = {"materialize": lambda folder: folder.has(INPUT), "score": scored}
ERROR_MARK = "LOCKSTEP-ERROR "  # of lockstep/steps/job.py
APPLICATION_MARK = "LOCKSTEP-SPARK-APPLICATION "  # likewise


class SparkJobOperator(SparkSubmitOperator):
    """SparkSubmitOperator for a script of `jobs/`.

    It adds three things to its parent: paths and environment from Lockstep's settings (taken when the task runs, so
    that nothing secret is in the rendered template), the exit codes of `lockstep`, and a process group of its own, so
    that a Python driver does not outlive a killed or timed-out task.

    Args:
        job: Script name without `.py`.
        models_root: Folder of the specs; without it, that of the settings.
    """

    template_fields: ClassVar[Sequence[str]] = ("application_args",)
    operator_extra_links: ClassVar[Sequence[Any]] = (SparkLink(),)

    def __init__(self, *, job: str, models_root: str = "", **kwargs: Any) -> None:
        super().__init__(name=f"lockstep-{job}", **kwargs)
        self.job = job
        self.models_root = models_root
        self.stopped = False  # by Airflow
        self.pages: dict[str, str] = {}  # see links.py

    def execute(self, context: Context) -> None:
        """Run spark-submit to its end."""
        die_with_parent()  # see StepOperator.run_command
        try:
            self._configure(task_settings(self.models_root))
        except LockstepError as error:
            raise airflow_error(error) from error
        try:
            super().execute(context)
        except AirflowException as error:
            exit_code = self._exit_code()
            if exit_code is None:
                raise
            text = str(error)
            said = said_by_job(text)
            raise failure(f"Spark job {self.job}", exit_code, tail=[told_by_job(text)], said=said) from error
        finally:
            self._stop_driver()
            if (process := self._submit_process()) is not None:
                close_pipes(process)

    def _configure(self, settings: Settings) -> None:
        """Fill in what the settings of this machine and the connection say."""
        settings, master = self._connected(settings)
        python = check_data_python(data_python(settings, os.environ))
        java_home = find_java_home(os.environ, cache_root=settings.cache_root, package_roots=site_packages(python))
        submit = spark_submit(settings, self.job, (), python=python, java_home=java_home)
        check_master(settings.spark_profile, submit.properties[MASTER].value, master, connection=self._conn_id)
        submit.prepare()
        self.application = str(submit.application)
        self.properties_file = str(submit.properties_file)
        self.env_vars = dict(submit.env)
        self._spark_binary = str(submit.binary)

    def _connected(self, settings: Settings) -> tuple[Settings, str]:
        """Return the settings, with the profile that the connection's extra names if it does, and its master."""
        try:
            connection = SparkSubmitHook.get_connection(self._conn_id)
        except AirflowNotFoundException:
            return settings, "yarn"  # says the provider
        profile, host = connection.extra_dejson.get("profile"), str(connection.host or "")
        # As the provider reads it: the whole URL, or the scheme as the connection's type.
        whole = "://" in host or (connection.conn_type == "spark" and not connection.port)
        master = host if whole else f"{connection.conn_type}://{host}"
        return replace(settings, spark_profile=str(profile)) if profile else settings, master

    def on_kill(self) -> None:
        """Stop the JVM as the provider does, then what is left of its process group: the Python driver."""
        self.stopped = True
        super().on_kill()
        self._stop_driver()

    def _get_hook(self) -> SparkSubmitHook:
        hook = super()._get_hook()
        own_group = {"start_new_session": True, "preexec_fn": die_with_parent}
        hook.submit = functools.partial(hook.submit, **own_group)
        # The provider has no other place where the lines pass by.
        read = hook._process_spark_submit_log  # noqa: SLF001
        noting = self._noting_application
        hook._process_spark_submit_log = lambda lines: read(noting(lines))  # noqa: SLF001
        return hook

    def _noting_application(self, lines: Iterator[Any]) -> Iterator[Any]:
        """Hand lines of spark-submit on; note which application the job says it is."""
        for line in lines:
            _, mark, application_id = str(line).partition(APPLICATION_MARK)
            if mark:
                history = Settings.from_env(os.environ).spark_history
                self.pages = {SPARK: page_of_application(history, application_id.strip())}
            yield line

    def _submit_process(self) -> "subprocess.Popen[str] | None":
        return getattr(self._hook, "_submit_sp", None)

    def _exit_code(self) -> int | None:
        process = self._submit_process()
        return None if process is None else process.poll()

    def _stop_driver(self) -> None:
        if (process := self._submit_process()) is not None:
            stop_group(process)


class SparkStepOperator(LineageMixin, SparkJobOperator):
    """A Spark step of a scoring run, which one process at a time computes.

    A step that an earlier attempt finished is not run again, and two runs of one day do not compute it side by side.

    Args:
        job: Script name without `.py`.
        run_folder: Run folder (templated).
    """

    def __init__(self, *, job: str, run_folder: str, **kwargs: Any) -> None:
        super().__init__(job=job, application_args=["--run-folder", run_folder], **kwargs)

    def execute(self, context: Context) -> None:
        """Run spark-submit to its end, unless the step is done already."""
        folder = RunFolder.at(str((self.application_args or [])[-1]))
        if self._is_done(folder):
            return
        die_with_parent()  # see StepOperator.run_command
        try:
            settings = task_settings(self.models_root)
            # Another run of this day, or somebody at a shell, may be at it: one computes, both have the result.
            with alone(self.job, folder, settings, tell=self.log.warning, on_lost=self._stop_driver) as partition:
                if not self._is_done(folder):
                    self._compute(context, folder, partition)
        except LockstepError as error:
            raise airflow_error(error) from error

    def _compute(self, context: Context, folder: RunFolder, partition: Alone) -> None:
        try:
            with folder.timed(self.job):
                super().execute(context)
        except AirflowException:
            partition.check()
            raise

    def _is_done(self, folder: RunFolder) -> bool:
        if done := DONE[self.job](folder):
            self.log.info("%s of %s is done already", self.job, folder.path)
        return done


def check_master(profile: str, expected: str, master: str, *, connection: str) -> None:
    """Refuse a profile that is made for another kind of cluster than the connection names.

    Raises:
        ProfileInvalid: It is.
    """
    kinds = [re.split(r"\W", text)[0] for text in (expected, master)]
    if kinds[0] != kinds[1]:
        problem = f"its spark.master is {expected}, and Airflow's connection {connection} names {master}"
        wanted = "a profile for that cluster, by `profile` in the connection's extra or by LOCKSTEP_SPARK_PROFILE"
        raise ProfileInvalid(profile, problem=problem, expected=wanted)


def said_by_job(text: str) -> dict[str, Any] | None:
    """Return the error that a job of `jobs/` named, `{"error", "code", "message"}`; None if it did not."""
    for line in reversed(text.splitlines()):
        _, mark, facts = line.partition(ERROR_MARK)
        if mark and isinstance(value := json_object(facts), dict):
            code = {"code": value["code"]} if "code" in value else {}
            return {"error": value.get("type"), "message": value.get("message"), **code}
    return None


def told_by_job(text: str) -> str:
    """Return what a job of `jobs/` says went wrong, if its output says so; else all of the output's end."""
    said = said_by_job(text)
    return text if said is None else f"{said['error']}: {said['message']}"
