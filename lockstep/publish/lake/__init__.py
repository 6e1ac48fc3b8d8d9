"""Warehouses of table formats: Iceberg and Delta."""
