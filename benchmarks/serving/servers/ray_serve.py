"""Ray Serve: one replica that reads the raw request, in a cluster of this machine only, without a dashboard.

With the settings that its documentation has for throughput; the clients speak to the replica itself ("direct ingress"),
not through a proxy, which would cost them another hop. Ray's own channels are open to all interfaces, behind a token.
"""

import os
import secrets
import sys
import tempfile
import threading
from typing import Any

import numpy as np
import orjson
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.job import Job
from benchmarks.serving.servers.calling import Caller

LOOPBACK = "127.0.0.1"
JSON = "application/json"


@serve.deployment(num_replicas=1, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 1})
class Scores:
    """The model in a replica."""

    def __init__(self, job: str) -> None:
        self.model = Caller(Job.from_json(job))

    async def __call__(self, request: Request) -> Response:
        """Score a row, or say that the model is loaded."""
        if request.method == "GET":
            return Response(b"{}", media_type=JSON)
        asked: dict[str, Any] = orjson.loads(await request.body())
        text = asked.get("text")
        row = np.array([text]) if text is not None else np.array([asked["features"]], dtype=np.float32)
        return Response(orjson.dumps({"score": await self.model.score(row)}), media_type=JSON)


if __name__ == "__main__":
    port, proxy_port = int(sys.argv[1]), int(sys.argv[2])
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(16)
    # Its sockets need a short path.
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=tempfile.gettempdir())
    serve.start(http_options={"host": LOOPBACK, "port": proxy_port})
    serve.run(Scores.bind(os.environ["BENCHMARK_JOB"]), name="scores", route_prefix="/")
    threading.Event().wait()
