"""Files of runs, on a disk or in an object store: paths, whole writes, conditional creation, local copies.

Nothing here is renamed in a store: a file is there whole once it is put, and whoever must be the only one creates it.
"""
