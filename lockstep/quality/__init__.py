"""Great Expectations suites, drift and the invariants of a run."""
