"""Spark UDFs around the shared Scorer: `score_column` and `register` for columns and SQL, `bulk` for whole tables."""

from udfs.column import register, score_column

__all__ = ["register", "score_column"]
