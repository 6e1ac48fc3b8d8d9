"""What may go wrong between this machine and a Spark cluster: profiles, shipped environments, versions."""

from collections.abc import Sequence

from lockstep.errors.stages import EnvironmentFault, RegistryError, SettingsError


class ProfileUnknown(SettingsError):
    """A Spark profile is asked for that does not exist."""

    code = "LS3003"

    def __init__(self, name: str, *, folder: str, known: Sequence[str]) -> None:
        Exception.__init__(
            self,
            f"there is no Spark profile {name!r} in {folder}; there are: {', '.join(known) or 'none'}. Name one by "
            "--profile (several times for overlays), by LOCKSTEP_SPARK_PROFILE (standalone,gpu) or by `profile` in the "
            "extra of Airflow's connection spark_default.",
        )


class ProfileInvalid(SettingsError):
    """A Spark profile cannot be used as it is."""

    code = "LS3004"

    def __init__(self, profile: str, *, problem: str, expected: str) -> None:
        Exception.__init__(self, f"Spark profile {profile} cannot be used: {problem}; expected {expected}.")


class ArchiveMissing(EnvironmentFault):
    """The executors are to get an archive that nobody has made."""

    code = "LS4010"

    def __init__(self, path: str, *, what: str, command: str) -> None:
        super().__init__(
            f"LOCKSTEP_SPARK_ARCHIVE is set, but {what} is not there: {path}. Its name follows from the lock and from "
            f"the code, so after a change of either it has to be made again: `{command}`. Nothing was started."
        )


class PackagingFailed(EnvironmentFault):
    """The archive for the executors cannot be made from this environment."""

    code = "LS4011"

    def __init__(self, what: str, *, problem: str, to_do: str) -> None:
        super().__init__(f"{what} cannot be packaged: {problem}. {to_do}")


class EnvironmentsDiffer(EnvironmentFault):
    """An executor would score with other versions than the driver has."""

    code = "LS4012"

    def __init__(self, where: str, *, python: str, differences: str) -> None:
        super().__init__(
            f"executor on {where} has other versions than the driver ({python}):\n{differences}\nNothing was scored "
            "there. Ship the driver's environment (`lockstep package`, then LOCKSTEP_SPARK_ARCHIVE: docs/cluster.md), "
            "or install the same lock and the same code on every host, then run the same command again."
        )


class ArtifactUnreachable(RegistryError):
    """A machine cannot read the files of a model."""

    code = "LS5005"
    retryable = True

    def __init__(self, model: str, *, location: str, host: str, reason: str) -> None:
        super().__init__(
            f"the artifact of model {model} at {location} cannot be read on host {host}: {reason}. Every node that "
            "scores fetches it once, so it needs access to that folder, store or server (credentials by the "
            "platform's own chain, docs/cluster.md). Then run the same command again."
        )


class DeviceMissing(EnvironmentFault):
    """A GPU was asked for, and there is none that the library which scores can use."""

    code = "LS4009"

    def __init__(self, wanted: str, *, found: str, library: str = "torch") -> None:
        super().__init__(
            f"LOCKSTEP_DEVICE asks for {wanted}, but {library} sees {found}. Check the driver (`nvidia-smi`), that the "
            f"installed {library} is a CUDA build and that the Spark profile hands out GPUs (spark-conf/gpu.conf), "
            "or set LOCKSTEP_DEVICE=auto to score on the processor where there is no GPU."
        )
