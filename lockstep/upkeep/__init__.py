"""Work on what was published: rollback, comparison of runs, retention."""
