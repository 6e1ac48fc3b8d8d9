"""The toy application of the endpoint's tests."""

from tests.unit.serving.conftest import app, make_plane, plane, scorer

__all__ = ["app", "make_plane", "plane", "scorer"]
