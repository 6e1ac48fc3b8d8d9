"""Why a row has no score: a short code, a colon, and what a person reads. The code never changes."""

NOT_FINITE = "not_finite: the model returned a value that is not finite"
NULL_REFUSED = "null_refused: column {column} is null, and its type {dtype} has no place for it"
WRONG_LENGTH = "wrong_length: column {column} does not hold {expected} values"
INVALID_UTF8 = "invalid_utf8: column {column} is not valid UTF-8"
INEXACT = "inexact: column {column} is {got}, and its type {dtype} cannot hold this value exactly"
MODEL_RAISED = "model_raised: the model raised {error}"
OUT_OF_MEMORY = "out_of_memory: the model ran out of memory on this row alone"
# Reasons that lie in the row as it was sent, whatever the model.
INPUT_CODES = frozenset({"null_refused", "wrong_length", "invalid_utf8", "inexact"})


def code_of(reason: str) -> str:
    """Return the code of a reason."""
    return reason.partition(":")[0]
