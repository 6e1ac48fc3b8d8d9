"""What may go wrong around the input: specs, machine, registry, checks, publication and requests."""

from collections.abc import Mapping, Sequence

from lockstep.errors.base import LockstepError
from lockstep.errors.suggestions import did_you_mean


class SpecError(LockstepError):
    """A scoring spec is wrong."""

    code = "LS3001"

    def __init__(self, path: str, problems: Sequence[str]) -> None:
        self.path = path
        self.problems = tuple(problems)
        super().__init__(f"scoring spec {path} is invalid:\n" + "\n".join(f"  {p}" for p in self.problems))


class SettingsError(LockstepError):
    """An environment variable has an unusable value."""

    code = "LS3002"

    def __init__(self, variable: str, *, got: str, expected: str) -> None:
        held = f"is {got!r}" if got else "is not set"
        super().__init__(f"environment variable {variable} {held}; expected {expected}")


class EnvironmentFault(LockstepError):
    """The machine lacks something that the run needs."""

    code = "LS4001"


class JavaNotFound(EnvironmentFault):
    """No Java runtime that Spark can use."""

    code = "LS4002"

    def __init__(self, tried: Sequence[str]) -> None:
        lines = "\n".join(f"  {t}" for t in tried) or "  (no candidate found)"
        super().__init__(
            f"no Java 17 or newer was found, which Spark needs. Tried:\n{lines}\n"
            "Install one (Debian: `apt-get install openjdk-17-jre-headless`; macOS: `brew install openjdk@17`) "
            "or point JAVA_HOME at it, then run the same command again."
        )


class RunFolderUnusable(EnvironmentFault):
    """The run folder cannot be written."""

    code = "LS4003"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"cannot write the run folder {path}: {reason}. Nothing was published. "
            "Free space or fix the permissions (or set LOCKSTEP_RUNS to another folder) and run the same command again."
        )


class StoreUnusable(EnvironmentFault, OSError):
    """An object store refuses, is not there, or was away for longer than is waited; an `OSError`, as of files."""

    code = "LS4004"

    def __str__(self) -> str:
        """Say what is wrong, where, and what to do."""
        if not self.filename:  # made anew from what a child process said
            return super().__str__()
        return (
            f"object store, {self.filename}: {self.strerror}. Check the URL, AWS_ENDPOINT_URL and the like, and the "
            "credentials of this machine (docs/object-stores.md), and run the same command again."
        )


class SparkJobFailed(EnvironmentFault):
    """A spark-submit ended with an exit code of its own, not with one of our errors."""

    code = "LS4005"
    retryable = True

    def __init__(self, application: str, *, exit_code: int, log_path: str, last_error: str) -> None:
        super().__init__(
            f"Spark job {application} ended with exit code {exit_code}: {last_error}. "
            f"Full log: {log_path}. Finished work units are kept; run the same command again to resume."
        )


class MemoryExhausted(EnvironmentFault):
    """Memory ran out on every row of a block, so that it is not a row's fault."""

    code = "LS4006"
    retryable = True

    def __init__(self, device: str, *, rows: int) -> None:
        super().__init__(
            f"the model ran out of memory on {device} with a block of {rows} rows, its smallest. No row was lost and "
            "finished work units are kept. Give each worker more memory, or start fewer at a time (spark.task.cpus, "
            "spark.executor.cores), and run the same command again to resume."
        )


class PartitionBusy(EnvironmentFault):
    """Another run computes the same partition of the same spec."""

    code = "LS4007"
    retryable = True

    def __init__(self, what: str, *, step: str, holder: str, waited_s: float) -> None:
        super().__init__(
            f"{step} of {what} was not begun: {holder} is at work on it; waited {waited_s:.0f} s. Nothing is computed "
            "twice. Let it end, or stop it, and run the same command again (or raise LOCKSTEP_PARTITION_WAIT_S): what "
            "it has finished is used."
        )


class PartitionLost(EnvironmentFault):
    """This process gave no sign of life for so long that another one took over its partition."""

    code = "LS4008"
    retryable = True

    def __init__(self, what: str, *, step: str) -> None:
        super().__init__(
            f"{step} of {what} was ended: this process was stopped or cut off for so long that another one took over. "
            "Finished work units are kept. Run the same command again: it waits for the other one and uses what that "
            "has finished."
        )


class RegistryError(LockstepError):
    """The model registry cannot give the model."""

    code = "LS5001"


class ModelNotFound(RegistryError):
    """No such registered model, version or alias."""

    code = "LS5002"

    def __init__(
        self,
        name: str,
        *,
        wanted: str,
        tracking_uri: str,
        known: Sequence[str] = (),
        models: Sequence[str] | None = None,
    ) -> None:
        has = (
            f" It has: {', '.join(known if models is None else models) or 'none'}."
            if known or models is not None
            else ""
        )
        problem = f"model {name!r} has no {wanted} in the registry at {tracking_uri}.{has}"
        advice = "Register the version or set the alias (`lockstep model list` shows what there is)."
        if models is not None:
            problem = f"the registry at {tracking_uri} has no model {name!r}.{did_you_mean(name, models)}{has}"
            advice = "Correct the name, register the model, or set MLFLOW_TRACKING_URI to the registry that has it."
        super().__init__(f"{problem} {advice}")


class AliasMoved(RegistryError):
    """An alias points elsewhere than it did when somebody decided to move it."""

    code = "LS5003"

    def __init__(self, name: str, *, alias: str, expected: int, found: int | None) -> None:
        then = f"version {expected}" if expected else "nothing"
        now = "nothing" if found is None else f"version {found}"
        super().__init__(
            f"alias {alias!r} of model {name!r} points at {now}; expected {then}. Somebody else moved it meanwhile. "
            "Nothing was changed. Look again and decide anew."
        )


class RegistryUnavailable(RegistryError):
    """The registry did not answer."""

    code = "LS5004"
    retryable = True

    def __init__(self, tracking_uri: str, reason: str) -> None:
        super().__init__(
            f"the model registry at {tracking_uri} did not answer: {reason}. "
            "Check MLFLOW_TRACKING_URI and that the server runs, then run the same command again."
        )


class ArtifactInvalid(RegistryError):
    """The registered artifact is not something Lockstep can score with."""

    code = "LS5006"

    def __init__(self, model: str, problem: str) -> None:
        super().__init__(f"the artifact of model {model} cannot be used: {problem}")


class PrecisionUnsupported(RegistryError):
    """A model cannot be scored in the precision that its spec asks for."""

    code = "LS5007"

    def __init__(self, model: str, *, wanted: str, reason: str) -> None:
        super().__init__(
            f"model {model} cannot be scored in {wanted}: {reason}. Nothing was scored. "
            "Set model.precision: float32 in the spec, or another that docs/models.md names for this kind of model."
        )


class RequirementsDiffer(RegistryError):
    """The libraries that are installed are not those that the model was logged with, and the spec refuses that."""

    code = "LS5008"

    def __init__(self, model: str, *, differences: Sequence[str], where: str) -> None:
        lines = "\n".join(f"  {difference}" for difference in differences)
        super().__init__(
            f"model {model} was logged with other libraries than are installed on {where}; nothing was scored:\n"
            f"{lines}\n"
            "Install what the model wants, log the model again with what is installed, or set model.environment: warn "
            "in the spec to score all the same."
        )


class OutputMismatch(RegistryError):
    """A model returns something other than its signature declares."""

    code = "LS5009"

    def __init__(self, *, expected: str, got: str) -> None:
        super().__init__(
            f"the model returned {got}, but its signature declares {expected}. Nothing was published. "
            "Log the model again with a signature inferred from its real output."
        )


class CheckFailed(LockstepError):
    """A critical check failed; nothing was published."""

    code = "LS7001"

    def __init__(self, stage: str, *, partition: str, failures: Sequence[str], report: str) -> None:
        self.failures = tuple(failures)
        lines = "\n".join(f"  {f}" for f in failures)
        super().__init__(
            f"{stage} of partition {partition} failed; nothing was published and what was live stays:\n{lines}\n"
            f"Details: {report}"
        )


class TooManyBadRows(CheckFailed):
    """So many rows were quarantined that the run cannot pass any more; scoring stopped early."""

    code = "LS7002"

    def __init__(self, partition: str, *, bad: int, read: int, allowed: int, reasons: Mapping[str, int]) -> None:
        worst = max(reasons, key=lambda reason: reasons[reason])
        LockstepError.__init__(
            self,
            f"scoring of partition {partition} stopped: {bad} of the {read} rows that were read have no "
            f"score, and limits.max_quarantined_fraction allows {allowed} of the whole run. Most often: {worst} "
            f"({reasons[worst]} rows). Nothing was published; what was live stays. Mend the input or the model, or "
            "raise the limit in the spec.",
        )


class PrecisionRefused(CheckFailed):
    """Reduced precision moves the scores by more than the spec allows."""

    code = "LS7003"

    def __init__(self, model: str, *, precision: str, got: str, limit: float, sample: str) -> None:
        LockstepError.__init__(
            self,
            f"model {model} in {precision} differs from float32 by {got}; model.max_precision_difference allows "
            f"{limit:g}. Measured on {sample}. Nothing was planned and what is live stays. Set model.precision: "
            "float32 in the spec, or allow the difference.",
        )


class StepOutOfOrder(LockstepError):
    """A step was asked for before the step whose output it reads."""

    code = "LS9001"

    def __init__(self, step: str, *, needs: str, folder: str) -> None:
        super().__init__(f"step {step!r} needs {needs}, which is not in {folder}. Run the earlier steps first.")


class RequestInvalid(LockstepError):
    """A request to the endpoint does not fit the model's signature. Never carries the data itself."""

    code = "LS1002"
