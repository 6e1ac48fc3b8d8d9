"""The inference log: what was asked, what was answered and by which model, as a Parquet table beside the batch's."""
