"""Write the Python modules of the gRPC protocol from its `.proto`; they are kept in the repository."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = Path("lockstep/serving/grpc/open_inference.proto")
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")


def main() -> int:
    """Write them to where they are imported from, or below the folder that is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT, help="root of the tree to write to")
    return generate(parser.parse_args().out)


def generate(out: Path) -> int:
    """Run the protocol compiler of grpcio-tools; return its exit code."""
    outputs = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT}", *outputs, str(PROTO)]
    # Its launcher imports a deprecated module of setuptools.
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
