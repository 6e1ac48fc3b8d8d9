"""One copy of each model for several processes: one holds them, the others send it rows over a Unix socket."""
