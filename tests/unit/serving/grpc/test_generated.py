"""The generated modules are those of the protocol's description."""

from pathlib import Path

from tools.make_grpc import PROTO, ROOT, SUFFIXES, generate


def test_generating_again_gives_the_same_files(tmp_path: Path) -> None:
    assert generate(tmp_path) == 0
    for suffix in SUFFIXES:
        name = PROTO.with_name(PROTO.stem + suffix)
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes(), f"run python tools/make_grpc.py: {name}"
