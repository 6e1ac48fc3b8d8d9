"""Warehouses with SQL transactions: DuckDB, PostgreSQL and Snowflake."""
