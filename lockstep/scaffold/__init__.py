"""Begin a scoring job: read a registered model and a table, and write the folder of its spec."""
