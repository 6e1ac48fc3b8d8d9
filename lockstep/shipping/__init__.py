"""What a cluster gets: the data environment and this code as archives that Spark hands to its executors."""
