"""An endpoint with models made up here, over REST and gRPC on one event loop: `python grpc_child.py OPTIONS`.

Prints its ports as a line of JSON once it takes requests; ends on SIGTERM after the requests in progress.
"""

import argparse
import json
import time
from pathlib import Path

import grpc
import numpy as np
import pyarrow as pa
import uvloop

from lockstep.errors import ModelNotFound
from lockstep.run.plan import Column, ModelIdentity
from lockstep.scoring.backends import Arrays, Backend, Encoded, Group
from lockstep.scoring.outputs import numpy_dtype
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.grpc.server import GrpcServer, build_grpc_server
from lockstep.serving.lane import ScoringLane
from lockstep.serving.lane_limits import LaneLimits
from lockstep.serving.metrics import Metrics
from lockstep.serving.repository import Repository, Source
from lockstep.serving.repository_edge import repository_routes
from lockstep.serving.server import bind, serve
from lockstep.serving.versions import LoadedVersion
from tests.unit.serving.toy import BLOCK_ROWS, IDENTITY, ToyBackend, app_of

GRACE_S = 10.0
ECHOED = (
    Column(name="text", dtype="string"),
    Column(name="number", dtype="double"),
    Column(name="rate", dtype="float"),
    Column(name="seats", dtype="integer"),
    Column(name="flight", dtype="long"),
    Column(name="wet", dtype="boolean"),
    Column(name="picture", dtype="float", shape=(2, 3)),
    Column(name="halves", dtype="float16", shape=(2,)),
    Column(name="codes", dtype="uint8", shape=(3,)),
    Column(name="words", dtype="string", shape=(2,)),
)
Columns = tuple[Column, ...]
SECONDS = (Column(name="seconds", dtype="double"),)


class EchoBackend:
    """Returns its inputs, which shows that every type arrives and leaves as it is."""

    device = "cpu"

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        arrays = []
        for column, array in zip(ECHOED, batch.columns, strict=True):
            flat = array.flatten() if column.shape is not None else array
            values = flat.to_numpy(zero_copy_only=False)  # texts as objects: NumPy's own lose a zero at the end
            arrays.append(values.astype(numpy_dtype(column)).reshape(batch.num_rows, *(column.shape or ())))
        return Encoded((Group(tuple(arrays)),))

    def run(self, arrays: Arrays) -> Arrays:
        return arrays


class SleepBackend:
    """Takes as long as its largest input says, in seconds, and returns how many blocks it has run."""

    device = "cpu"
    blocks = 0

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        return Encoded((Group((batch.column(0).to_numpy(),)),))

    def run(self, arrays: Arrays) -> Arrays:
        time.sleep(float(arrays[0].max()))
        self.blocks += 1
        return (np.full(len(arrays[0]), float(self.blocks)),)


def version(name: str, number: int, backend: Backend, inputs: Columns, outputs: Columns) -> LoadedVersion:
    identity = ModelIdentity(
        name=name, version=number, digest=f"{number:064x}", location="/nowhere", inputs=inputs, outputs=outputs
    )
    scorer = Scorer(backend, Signature(inputs, outputs), block_rows=BLOCK_ROWS)
    # Long deadlines: what a test does not ask for does not happen.
    return LoadedVersion(identity, scorer, ScoringLane(scorer, LaneLimits(slo_s=30.0)))


def build_fleet() -> Fleet:
    outputs = tuple(column.model_copy(update={"name": f"{column.name}_out"}) for column in ECHOED)
    found = [
        version("toy", 3, ToyBackend(), IDENTITY.inputs, IDENTITY.outputs),
        version("echo", 3, EchoBackend(), ECHOED, outputs),
        version("sleep", 3, SleepBackend(), SECONDS, (Column(name="blocks", dtype="double"),)),
    ]
    return Fleet([*(ModelSlot(each.identity.name, current=each) for each in found), ModelSlot("absent")])


def absent() -> Source:
    """A model that is not loaded yet, of which the registry has the versions 1 and 2."""

    def resolve(number: int | None) -> ModelIdentity:
        if number not in {None, 1, 2}:
            raise ModelNotFound("absent", wanted=f"version {number}", tracking_uri="nowhere")
        return version("absent", number or 2, ToyBackend(), IDENTITY.inputs, IDENTITY.outputs).identity

    def load(identity: ModelIdentity) -> LoadedVersion:
        return version("absent", identity.version, ToyBackend(), IDENTITY.inputs, IDENTITY.outputs)

    return Source(resolve, load)


def credentials(folder: Path | None, *, mutual: bool) -> grpc.ServerCredentials | None:
    if folder is None:
        return None
    pair = ((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())
    return grpc.ssl_server_credentials([pair], (folder / "ca.pem").read_bytes() if mutual else None, mutual)


async def main(options: argparse.Namespace) -> None:
    limits = Limits(body_bytes=options.body_bytes, in_progress=options.in_progress)
    plane = DataPlane(build_fleet(), metrics=Metrics(), limits=limits)
    repository = Repository(plane.fleet, {"absent": absent()}, metrics=plane.metrics)
    tls = credentials(options.tls, mutual=options.mutual)
    made: list[GrpcServer] = []

    def grpc_server() -> GrpcServer:
        server = build_grpc_server(
            plane,
            repository,
            host=options.host,
            port=options.port,
            limits=limits,
            credentials=tls,
            share_port=options.share_port,
            drain_s=options.drain_s,
        )
        made.append(server)
        return server

    with bind("127.0.0.1", options.http_port) as sock:
        ports = {"http": sock.getsockname()[1]}
        tell = lambda: print(json.dumps({**ports, "grpc": made[0].port}), flush=True)  # noqa: E731
        app = app_of(plane, *repository_routes(plane, repository))
        await serve(sock, app, grpc=grpc_server, drain_s=options.drain_s, grace_s=GRACE_S, ready=tell)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--http-port", type=int, default=0)
    parser.add_argument("--drain-s", type=float, default=0.0)
    parser.add_argument("--tls", type=Path)
    parser.add_argument("--mutual", action="store_true")
    parser.add_argument("--share-port", action="store_true")
    parser.add_argument("--body-bytes", type=int, default=16 * 2**20)
    parser.add_argument("--in-progress", type=int, default=256)
    uvloop.run(main(parser.parse_args()))
