"""Models that parity cannot take are refused before anything is scored."""

import pytest

from lockstep.run.plan import Column
from lockstep.serving.errors import OutputNotComparable
from lockstep.serving.parity import require_comparable
from tests.unit.serving.toy import IDENTITY

VECTOR = Column(name="embedding", dtype="float", shape=(4,))


@pytest.mark.parametrize(
    ("output", "kind"), [(VECTOR, r"float tensor of shape \(4,\)"), (Column(name="label", dtype="string"), "string")]
)
def test_only_numbers_are_compared(output: Column, kind: str) -> None:
    require_comparable(IDENTITY)
    with pytest.raises(OutputNotComparable, match=f"of model toy version 3 is a {kind}"):
        require_comparable(IDENTITY.model_copy(update={"outputs": (output,)}))
