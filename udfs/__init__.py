"""Spark UDFs around the shared Scorer."""
