"""Warehouses: the atomic, fenced move of staged rows, the ledger and the reporting tables."""
