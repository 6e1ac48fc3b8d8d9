"""One scoring run: its identity, its folder, its manifest and how Spark is started."""
