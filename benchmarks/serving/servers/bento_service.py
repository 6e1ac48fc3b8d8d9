"""BentoML: one worker, the access log off, metrics on as by default."""

import os

import bentoml
import numpy as np

from benchmarks.job import Job
from benchmarks.serving.servers.calling import Caller

job = Job.from_json(os.environ["BENCHMARK_JOB"])
serve = bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})


class Features:
    """Scores a row of a table."""

    def __init__(self) -> None:
        self.model = Caller(job)

    @bentoml.api(route="/score")
    async def score(self, features: list[float]) -> dict[str, float]:
        """Score a row."""
        return {"score": await self.model.score(np.array([features], dtype=np.float32))}


class Text:
    """Scores a text."""

    def __init__(self) -> None:
        self.model = Caller(job)

    @bentoml.api(route="/score")
    async def score(self, text: str) -> dict[str, float]:
        """Score a text."""
        return {"score": await self.model.score(np.array([text]))}


service = serve(Text if job.workload == "text" else Features)
