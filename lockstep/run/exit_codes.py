"""Exit codes of the command line and of the Spark jobs; the Airflow operators read them."""

from lockstep import errors

OK, BUG, USAGE = 0, 1, 2
ENVIRONMENT = 4
PARITY_DIFFERS = 10
TEMPORARY = 75  # EX_TEMPFAIL of sysexits.h

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
