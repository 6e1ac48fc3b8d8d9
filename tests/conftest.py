"""For all tests: how long one example takes is no property of the code, least of all beside other tests."""

from importlib.util import find_spec

if find_spec("hypothesis") is not None:
    from hypothesis import settings

    settings.register_profile("lockstep", settings.default, deadline=None)
    settings.load_profile("lockstep")
