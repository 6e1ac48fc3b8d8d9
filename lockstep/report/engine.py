"""What the report says of the scoring itself: where the workers' time went, and how near to the bare model it was."""

from dataclasses import dataclass

from lockstep.report import charts
from lockstep.run.manifest import Manifest

STAGE_NAMES = {
    "read": "Read and decode",
    "score": "Encode and score",
    "assemble": "Put columns together",
    "profile": "Profile",
    "write": "Encode and write",
    "hash": "Hash",
}


@dataclass(frozen=True)
class EngineFacts:
    """Figures of the scoring step.

    Attributes:
        sentence: Speed, share of the bare model, memory and device, for a person.
        stages: Worker seconds per stage.
    """

    sentence: str
    stages: list[charts.Bar]


def engine_facts(manifest: Manifest) -> EngineFacts | None:
    """Return the figures, or none when there were no rows."""
    if not manifest.worker_seconds or not manifest.rows_in:
        return None
    speed = manifest.rows_in / manifest.worker_seconds
    parts = [f"Each worker scored {speed:,.0f} rows per second on {' and '.join(manifest.devices) or 'the processor'}"]
    if manifest.percent_of_bare_model is not None:
        parts.append(
            f"{manifest.percent_of_bare_model:.0f} % of what the model alone does there, "
            "without reading, checking, profiling and writing"
        )
    parts.append(f"with at most {manifest.peak_bytes / 2**20:,.0f} MiB of memory")
    rows = [
        (STAGE_NAMES.get(stage, stage), seconds, f"{seconds:,.2f} s", "plain")
        for stage, seconds in manifest.stages_s.items()
    ]
    return EngineFacts(f"{'; '.join(parts)}.", charts.bars(rows))
