"""The real-time endpoint over the same Scorer."""
