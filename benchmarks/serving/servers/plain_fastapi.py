"""Plain FastAPI: a pydantic model in, a pydantic model out, the model between."""

import os
import sys

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.job import Job
from benchmarks.serving.servers.calling import Caller

job = Job.from_json(os.environ["BENCHMARK_JOB"])
model = Caller(job)
app = FastAPI()


class Features(BaseModel):
    """A row of a table."""

    features: list[float]


class Text(BaseModel):
    """A text."""

    text: str


class Score(BaseModel):
    """What the model says of it."""

    score: float


@app.get("/ready")
async def ready() -> dict[str, bool]:
    """Say that the model is loaded."""
    return {"ready": True}


if job.workload == "text":

    @app.post("/score")
    async def score_text(row: Text) -> Score:
        """Score a text."""
        return Score(score=await model.score(np.array([row.text])))

else:

    @app.post("/score")
    async def score_features(row: Features) -> Score:
        """Score a row."""
        return Score(score=await model.score(np.array([row.features], dtype=np.float32)))


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", ws="none",
        access_log=False, log_level="warning",
    )  # fmt: skip
