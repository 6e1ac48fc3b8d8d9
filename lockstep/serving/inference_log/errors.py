"""What can go wrong with an inference log. No message holds a value of a row, or the salt."""

from collections.abc import Sequence

from lockstep.errors import EnvironmentFault, InputError, SettingsError, SpecError


class PolicyUnused(SpecError):
    """A policy names a column that no served model has: a typing error there would leave the real column as it is."""

    code = "LS3005"

    def __init__(self, names: Sequence[str], *, known: Sequence[str]) -> None:
        listed = ", ".join(known)
        problems = [f"key log.columns: {name!r} is a column of no served model; they have {listed}" for name in names]
        super().__init__("serving.yaml", problems)


class SaltUnusable(SettingsError):
    """The file of the secret that hashes are keyed with cannot be used."""

    code = "LS3006"

    def __init__(self, path: str, *, problem: str) -> None:
        super().__init__("log.salt_file", got=f"{path}, which {problem}", expected="a file with a long random secret")


class LogUnwritable(EnvironmentFault):
    """The folder of the log cannot be written to when the endpoint starts."""

    code = "LS4026"

    def __init__(self, path: str, *, reason: str) -> None:
        super().__init__(f"the inference log cannot be written to {path}: {reason}. Choose another log.path.")


class LogNotFound(InputError):
    """There is no such log."""

    code = "LS6021"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"there is no inference log at {path}. Name its folder with --log; `log:` in serving.yaml says where it is."
        )


class NotALog(InputError):
    """A file below the log's folder was not written by the log, or not by one that this version can read."""

    code = "LS6022"

    def __init__(self, path: str, *, problem: str) -> None:
        super().__init__(f"{path} is no file of an inference log: {problem}. Move it away, or name another folder.")


class ReplayUnfit(InputError):
    """What the batch made of the replayed rows cannot be compared with the log."""

    code = "LS6023"

    def __init__(self, folder: str, *, problem: str) -> None:
        super().__init__(f"the replay in {folder} cannot be compared: {problem}")


class NothingReplayable(InputError):
    """None of the logged rows can be scored again."""

    code = "LS6024"

    def __init__(self, log: str, *, reasons: Sequence[str]) -> None:
        super().__init__(f"no row of the log at {log} can be scored again: {'; '.join(reasons)}")
