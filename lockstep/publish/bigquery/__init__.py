"""BigQuery, experimental: load jobs fill a staging table, one script in a transaction makes its rows live."""
