"""Exit codes of the command line and of the Spark jobs; the Airflow operators read them."""

from lockstep import errors

OK, BUG, USAGE = 0, 1, 2
ENVIRONMENT = 4
PARITY_DIFFERS = 10
TEMPORARY = 75  # EX_TEMPFAIL of sysexits.h
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

# In a word, and what it says to a script; of all that the command line ends with.
MEANINGS: dict[int, tuple[str, str]] = {
    OK: ("ok", "What was asked for is done, or was done before."),
    BUG: ("bug", "A mistake of ours; the message says where its stack trace is. Please report it."),
    USAGE: ("usage", "The command line is wrong; nothing was looked at."),
    3: ("spec or settings", "A spec, a setting or a configuration file is wrong. Correct it."),
    ENVIRONMENT: (
        "environment",
        "The machine, a library, a disk or an address is not what is needed. `lockstep doctor`.",
    ),
    5: ("model registry", "The model, its version, its alias or its artifact is not what is needed."),
    6: ("input", "A day, a table, a file or a column is not what is needed. Nothing was published."),
    7: ("check failed", "A critical check or a limit. Nothing was published; what was live stays."),
    8: ("publish", "The warehouse refused, or a newer run owns the day."),
    9: ("step out of order", "A step lacks what an earlier one writes."),
    PARITY_DIFFERS: ("parity differs", "Endpoint and batch, or a replay, do not agree bit for bit."),
    TEMPORARY: ("temporary (run the same command again)", "It may do later with nothing changed; Airflow tries again."),
    INTERRUPTED: ("interrupted", "Ctrl-C or SIGTERM. What is finished is kept; the same command goes on from there."),
}

# First match wins; a retryable error is always TEMPORARY.
EXIT_CODES: tuple[tuple[type[errors.LockstepError], int], ...] = (
    (errors.SpecError, 3),
    (errors.SettingsError, 3),
    (errors.EnvironmentFault, ENVIRONMENT),
    (errors.RegistryError, 5),
    (errors.InputError, 6),
    (errors.CheckFailed, 7),
    (errors.TrialError, 7),
    (errors.PublishError, 8),
    (errors.StepOutOfOrder, 9),
)


def exit_code(error: errors.LockstepError) -> int:
    """Return the exit code of an error."""
    if error.retryable:
        return TEMPORARY
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), BUG)
