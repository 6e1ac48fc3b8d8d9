"""For all tests: how long one example takes is no property of the code, least of all beside other tests."""

import os
import signal
from importlib.util import find_spec

# The local profile compiles early; that ends a job sooner where a core is idle; here none is, so it costs a sixth more.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:CompileThresholdScaling=1")

# Who starts the tests in the background of a shell lets them ignore Ctrl-C, and every command that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if find_spec("hypothesis") is not None:
    from hypothesis import settings

    settings.register_profile("lockstep", settings.default, deadline=None)
    settings.load_profile("lockstep")
