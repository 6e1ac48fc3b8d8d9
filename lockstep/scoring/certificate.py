"""What a score's bits rest on: who computes it, where, and in blocks of which sizes."""

from collections.abc import Mapping
from dataclasses import dataclass

# By which names the metadata of a model tells it.
PROPERTIES = tuple(f"certificate_{fact}" for fact in ("backend", "device", "holds_for", "block_rows", "certified_rows"))


@dataclass(frozen=True)
class Certificate:
    """The parity certificate of a loaded model: block sizes shown to give the bits of the artifact's own.

    Attributes:
        backend: What scores a block: a Lockstep backend, or an MLflow flavor.
        device: Where: `cpu`, `cuda:0`.
        block_rows: Size of the artifact, which defines the result.
        sizes: Sizes in use, ascending, by shape of the model's input; a shape that is not there uses `block_rows`.
        holds_for: Device, precision, and a digest of hardware and libraries; on others it says nothing.
    """

    backend: str
    device: str
    block_rows: int
    sizes: Mapping[str, tuple[int, ...]]
    holds_for: str

    def to_properties(self) -> dict[str, str]:
        """Return it as texts by name, for the metadata of a model."""
        certified = "; ".join(f"{shape}: {' '.join(map(str, sizes))}" for shape, sizes in sorted(self.sizes.items()))
        facts = (self.backend, self.device, self.holds_for, str(self.block_rows), certified)
        return dict(zip(PROPERTIES, facts, strict=True))
