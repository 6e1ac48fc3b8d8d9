"""Warehouses with SQL transactions: DuckDB and PostgreSQL."""
