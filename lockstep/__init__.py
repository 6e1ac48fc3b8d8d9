"""Lockstep: one registered model, scored the same everywhere."""

__version__ = "0.1.0"
